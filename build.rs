//! Compiles what the agent loads into UML's processes (`src/agent/driver/uml/jail/preload.c`); it is part of the agent's program.

fn main() {
    const SOURCE: &str = "src/agent/driver/uml/jail/preload.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    #[cfg(feature = "agent")]
    {
        let out = {
            #[allow(clippy::disallowed_methods, reason = "so Cargo says it")]
            std::env::var_os("OUT_DIR")
        }
        .unwrap_or_default();
        let library = std::path::Path::new(&out).join("preload.so");
        let compiler = cc::Build::new().opt_level(2).pic(true).get_compiler();
        let built = compiler
            .to_command()
            .args(["-shared", "-o"])
            .arg(&library)
            .arg(SOURCE)
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "{SOURCE} cannot be compiled: a C compiler is needed"
        );
    }
}
