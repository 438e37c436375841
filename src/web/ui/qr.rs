//! A text as a square that phones read (ISO/IEC 18004), drawn without a picture file.

use std::fmt::Write;

use askama::Template;
use askama::filters::HtmlSafe;
use qrcodegen::{QrCode, QrCodeEcc};

/// The standard's quiet zone, in modules.
const MARGIN: i32 = 4;

#[derive(Debug, Template)]
#[template(path = "ui/qr.html")]
pub struct Qr {
    size: i32,
    /// The dark modules, a run of them at a time.
    path: String,
}
impl HtmlSafe for Qr {}

impl Qr {
    /// # Errors
    /// For texts of more than some two thousand letters.
    pub fn new(text: &str) -> Result<Self, qrcodegen::DataTooLong> {
        let code = QrCode::encode_text(text, QrCodeEcc::Medium)?;
        let mut path = String::new();
        for y in 0..code.size() {
            let mut x = 0;
            while x < code.size() {
                let run = (x..code.size())
                    .take_while(|at| code.get_module(*at, y))
                    .count();
                let run = i32::try_from(run).unwrap_or(0);
                if run > 0 {
                    // A String takes all that is written.
                    let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + MARGIN, y + MARGIN);
                }
                x += run + 1;
            }
        }
        Ok(Self {
            size: code.size() + 2 * MARGIN,
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_drawn_whole_with_its_margin() {
        let qr = Qr::new("otpauth://totp/Xen:zoe?secret=GEZD").unwrap();
        let drawn = qr.to_string();
        // The corner's finder: seven dark modules, then a light one.
        assert!(qr.path.starts_with("M4 4h7v1h-7z"), "{}", qr.path);
        assert!(drawn.contains(&format!("viewBox=\"0 0 {0} {0}\"", qr.size)));
        assert!(Qr::new(&"x".repeat(5000)).is_err());
    }
}
