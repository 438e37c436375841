//! The toolstack: every call of `xl` there is, and what it says read strictly. Tables are read where `xl` has no stable
//! JSON for them (it has none for the state and the CPU time of a domain).

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::agent::driver::{DriverError, Result};
use crate::command::Tool;

const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// How often a look is tried, and how far apart.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
const DESTROY_LIMIT: Duration = Duration::from_secs(60);
/// More of a table than this is not read: `command` keeps no more of what a program says, and half a list is no list.
const TABLE_LIMIT: usize = 250 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    pub id: u32,
    /// `(null)` while it is made or destroyed.
    pub name: String,
    pub memory_mb: i64,
    pub vcpus: u32,
    /// It ended, and was not cleaned up yet.
    pub shut_down: bool,
    /// It put nothing away before.
    pub crashed: bool,
    pub dying: bool,
    /// CPU time of all its vCPUs, to a tenth of a second.
    pub cpu_ms: u64,
    pub uuid: String,
}

impl Domain {
    /// It runs, or could yet.
    pub fn alive(&self) -> bool {
        !self.shut_down && !self.dying
    }
}

/// All of them. A row that is not understood is one domain's: it hides no other's, and is not taken for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domains {
    pub known: Vec<Domain>,
    pub odd: Vec<Odd>,
}

/// A domain of which only this is sure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    pub uuid: String,
    pub line: String,
}

impl Odd {
    /// `None`: there is nothing by which it could be told whose it is.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let uuid = words.rfind(|word| is_uuid(word))?.to_owned();
        let line = line.to_owned();
        Some(Self { uuid, line })
    }

    pub fn is_called(&self, name: &str) -> bool {
        self.line.split_ascii_whitespace().next() == Some(name)
    }
}

/// What the hypervisor says of itself, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Info {
    pub version: String,
    pub scheduler: String,
    pub commandline: String,
    pub free_memory_mb: i64,
}

fn xl(args: &[&str], limit: Duration) -> Result<String> {
    let said = Tool::new("xl").args(args).limit(limit).run();
    said.map(|said| said.text())
        .map_err(|error| DriverError::Host(error.to_string()))
}

/// A call that only looks, and so may be repeated: one that was killed or came at a bad moment says nothing of the guests.
fn look<T>(args: &[&str], parse: fn(&str) -> Result<T, String>) -> Result<T> {
    let attempt = || {
        let text = xl(args, LOOK_LIMIT)?;
        parse(&text).map_err(|why| odd(&format!("xl {}", args.join(" ")), why))
    };
    for _ in 1..LOOKS {
        if let Ok(found) = attempt() {
            return Ok(found);
        }
        thread::sleep(PAUSE);
    }
    attempt()
}

fn odd(what: &str, why: String) -> DriverError {
    DriverError::Host(format!("{what} said what is not understood: {why}"))
}

/// Every domain that the hypervisor knows, the control domain first.
pub(super) fn domains() -> Result<Domains> {
    look(&["list", "-v"], parse_domains)
}

pub(super) fn info() -> Result<Info> {
    look(&["info"], parse_info)
}

/// The weight of every domain under credit2.
pub(super) fn weights() -> Result<Vec<(u32, i64)>> {
    look(&["sched-credit2"], parse_weights)
}

/// What every virtual CPU is doing at this moment.
pub(super) fn vcpus() -> Result<Vec<Vcpu>> {
    let text = xl(&["vcpu-list"], LOOK_LIMIT)?;
    parse_vcpus(&text).map_err(|why| odd("xl vcpu-list", why))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vcpu {
    pub domain: u32,
    pub state: VcpuState,
    /// The CPU it is on, or was last.
    pub cpu: Option<u32>,
    /// The CPUs it may be on, as `xl` writes them: `all`, `0-1,3`.
    pub may: String,
}

impl Vcpu {
    /// May it be on this CPU? What is not understood is not forbidden.
    pub fn may_be_on(&self, cpu: u32) -> bool {
        let within = |part: &str| {
            let (from, until) = part.split_once('-').unwrap_or((part, part));
            match (from.parse::<u32>(), until.parse::<u32>()) {
                (Ok(from), Ok(until)) => (from..=until).contains(&cpu),
                _ => true,
            }
        };
        self.may.split(',').any(within)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VcpuState {
    Running,
    /// It could run, and is not let.
    Waiting,
    /// It has nothing to do, or is paused or off.
    Idle,
}

pub(super) fn set_weight(domain: u32, weight: i64) -> Result<()> {
    let (domain, weight) = (domain.to_string(), weight.to_string());
    let args = ["sched-credit2", "-d", &domain, "-w", &weight];
    xl(&args, LOOK_LIMIT).map(drop)
}

/// Makes the domain; `xl` leaves a process of itself behind that makes it anew if the guest reboots.
pub(super) fn create(file: &Path, limit: Duration) -> Result<()> {
    let said = Tool::new("xl").arg("create").arg(file).limit(limit).run();
    said.map(drop)
        .map_err(|error| DriverError::Host(error.to_string()))
}

/// Asks the guest to end, by its `control/shutdown` node; returns at once.
pub(super) fn shutdown(domain: u32) -> Result<()> {
    xl(&["shutdown", &domain.to_string()], LOOK_LIMIT).map(drop)
}

pub(super) fn destroy(domain: u32) -> Result<()> {
    xl(&["destroy", &domain.to_string()], DESTROY_LIMIT).map(drop)
}

/// `xl list -v`. The name may hold anything: columns are counted from the right.
pub(super) fn parse_domains(text: &str) -> Result<Domains, String> {
    if text.len() > TABLE_LIMIT {
        return Err("it is too long".to_owned());
    }
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let columns: Vec<&str> = header.split_ascii_whitespace().collect();
    if columns
        != [
            "Name",
            "ID",
            "Mem",
            "VCPUs",
            "State",
            "Time(s)",
            "UUID",
            "Reason-Code",
            "Security",
            "Label",
        ]
    {
        return Err(format!("its first line is {header:?}"));
    }
    let mut domains = Domains::default();
    for line in lines {
        match parse_domain(line) {
            Some(domain) => domains.known.push(domain),
            None => domains
                .odd
                .push(Odd::parse(line).ok_or_else(|| format!("{line:?}"))?),
        }
    }
    if domains.known.first().is_some_and(|first| first.id == 0) {
        Ok(domains)
    } else {
        Err("the control domain is not in it".to_owned())
    }
}

pub(super) fn is_uuid(word: &str) -> bool {
    word.len() == 36 && word.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn parse_domain(line: &str) -> Option<Domain> {
    let mut fields = line.split_ascii_whitespace().rev();
    let (_label, _reason, uuid, time, state) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    let (vcpus, memory, id) = (fields.next()?, fields.next()?, fields.next()?);
    let mut name: Vec<&str> = fields.collect();
    name.reverse();
    let flags: Vec<char> = state.chars().collect();
    let [running, blocked, paused, shut_down, reason, dying] = *flags.as_slice() else {
        return None;
    };
    let set = |flag: char, letter: char| match flag {
        '-' => Some(false),
        found if found == letter => Some(true),
        _ => None,
    };
    for (flag, letter) in [(running, 'r'), (blocked, 'b'), (paused, 'p')] {
        set(flag, letter)?;
    }
    // Why it ended: by a crash, by the watchdog, to reboot and more; `-` if by itself, or not. The guest chooses the code,
    // and one that `xl` has no letter for is `?`: it ended. One that says that it is suspended, or wants to go on with a
    // kernel of its own, is let do neither, and put nothing away.
    let crashed = matches!(reason, 'c' | 'w' | 's' | 'S');
    (matches!(reason, '-' | '?') || reason.is_ascii_alphabetic()).then_some(())?;
    let (seconds, tenths) = time.split_once('.')?;
    let (seconds, tenths): (u64, u64) = (seconds.parse().ok()?, tenths.parse().ok()?);
    (is_uuid(uuid) && tenths < 10 && !name.is_empty()).then_some(())?;
    Some(Domain {
        id: id.parse().ok()?,
        name: name.join(" "),
        memory_mb: memory.parse().ok()?,
        vcpus: vcpus.parse().ok()?,
        shut_down: set(shut_down, 's')?,
        crashed,
        dying: set(dying, 'd')?,
        cpu_ms: seconds * 1000 + tenths * 100,
        uuid: uuid.to_owned(),
    })
}

pub(super) fn parse_info(text: &str) -> Result<Info, String> {
    let field = |name: &str| {
        let found = text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim_end() == name).then(|| value.trim().to_owned())
        });
        found.ok_or_else(|| format!("there is no {name}"))
    };
    let free = field("free_memory")?;
    Ok(Info {
        version: field("xen_version")?,
        scheduler: field("xen_scheduler")?,
        commandline: field("xen_commandline")?,
        free_memory_mb: free
            .parse()
            .map_err(|_| format!("free_memory is {free:?}"))?,
    })
}

/// `xl sched-credit2`: a line per CPU pool, each with its table.
pub(super) fn parse_weights(text: &str) -> Result<Vec<(u32, i64)>, String> {
    if text.len() > TABLE_LIMIT {
        return Err("it is too long".to_owned());
    }
    let mut weights = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if fields.is_empty()
            || line.starts_with("Cpupool ")
            || fields == ["Name", "ID", "Weight", "Cap"]
        {
            continue;
        }
        let row = match fields.as_slice() {
            [_, .., id, weight, _cap] => id.parse().ok().zip(weight.parse().ok()),
            _ => None,
        };
        weights.push(row.ok_or_else(|| format!("{line:?}"))?);
    }
    Ok(weights)
}

/// `xl vcpu-list`: name, domain, vCPU, CPU, state (`r--`, `-b-`, `---` for runnable), time, affinities. Names hold no
/// spaces where they are ours; other domains' lines may have more columns, and are found by the state.
pub(super) fn parse_vcpus(text: &str) -> Result<Vec<Vcpu>, String> {
    if text.len() > TABLE_LIMIT {
        return Err("it is too long".to_owned());
    }
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    if !header.starts_with("Name") || !header.contains("State") {
        return Err(format!("its first line is {header:?}"));
    }
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        // The state with its neighbours: vCPU's number and CPU before it, the time after it.
        let at = fields
            .iter()
            .position(|field| is_vcpu_state(field))
            .filter(|at| *at >= 4)?;
        let domain = fields.get(at - 3)?.parse().ok()?;
        let state = match *fields.get(at)? {
            "---" if fields.get(at - 1) == Some(&"-") => VcpuState::Idle,
            "---" => VcpuState::Waiting,
            state if state.starts_with('r') => VcpuState::Running,
            _ => VcpuState::Idle,
        };
        Some(Vcpu {
            domain,
            state,
            cpu: fields.get(at - 1)?.parse().ok(),
            may: (*fields.get(at + 2)?).to_owned(),
        })
    };
    lines
        .map(|line| row(line).ok_or_else(|| format!("{line:?}")))
        .collect()
}

fn is_vcpu_state(field: &str) -> bool {
    let flags = field.as_bytes();
    matches!(flags, [b'r' | b'-', b'b' | b'-', b'p' | b'-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    // As Xen 4.17 printed them.
    const LIST: &str = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label
Domain-0                                     0   768     2     r-----     487.9 00000000-0000-0000-0000-000000000000        -                -
xb-8204                                      4   128     1     r-----       0.9 78620000-0000-0000-200c-0123456789ab        -                -
";
    const ENDED: &str = "xb-8204                                      4   128     1     --psc-      43.6 78620000-0000-0000-200c-0123456789ab        3                -";
    const REBOOTS: &str = "(null)                                       6   128     1     --psr-      15.2 2f646026-0000-0000-200c-880d079df928        1                -";
    const DYING: &str = "(null)                                       4     0     1     --ps-d      43.6 78620000-0000-0000-200c-0123456789ab        1                -";
    const WEIGHTS: &str = "\
Cpupool Pool-0: ratelimit=1000us
Name                                ID Weight  Cap
Domain-0                             0    256    0
xb-8204                              4    300    0
";
    const INFO: &str = "\
host                   : xen1
release                : 6.1.0-50-amd64
version                : #1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-07-02)
total_memory           : 2047
free_memory            : 1256
sharing_freed_memory   : 0
xen_major              : 4
xen_minor              : 17
xen_extra              : .5
xen_version            : 4.17.5
xen_caps               : xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 
xen_scheduler          : credit2
platform_params        : virt_start=0xffff800000000000
xen_changeset          : 
xen_commandline        : dom0_mem=768M,max:768M console=com1 com1=115200,8n1 loglvl=warning
";

    #[test]
    fn domains_are_read() {
        let domains = parse_domains(LIST).unwrap();
        assert_eq!((domains.known.len(), domains.odd.len()), (2, 0));
        assert_eq!(
            domains.known[1],
            Domain {
                id: 4,
                name: "xb-8204".to_owned(),
                memory_mb: 128,
                vcpus: 1,
                shut_down: false,
                crashed: false,
                dying: false,
                cpu_ms: 900,
                uuid: "78620000-0000-0000-200c-0123456789ab".to_owned(),
            }
        );
        let ended = parse_domain(ENDED).unwrap();
        assert!(ended.shut_down && ended.crashed && ended.cpu_ms == 43_600);
        let dying = parse_domain(DYING).unwrap();
        assert_eq!(
            (dying.name.as_str(), dying.crashed, dying.dying),
            ("(null)", false, true)
        );
        assert!(!ended.dying && !dying.alive() && !ended.alive());
        let reboots = parse_domain(REBOOTS).unwrap();
        assert!(reboots.shut_down && !reboots.crashed && !reboots.alive());
        for letter in ["--pss-", "--psS-"] {
            let stopped = parse_domain(&ENDED.replace("--psc-", letter)).unwrap();
            assert!(stopped.crashed && !stopped.alive());
        }
        let waits = parse_domain(&ENDED.replace("--psc-", "------")).unwrap();
        assert!(waits.alive(), "for a processor, maybe for minutes");
        let odd_name = DYING.replace("(null)", "a name  x");
        assert_eq!(parse_domain(&odd_name).unwrap().name, "a name x");
    }

    #[test]
    fn a_table_that_is_not_understood_is_an_error_and_not_an_empty_host() {
        for text in [
            "",
            "Name ID Mem VCPUs State Time(s)\n",
            &LIST.replace("Reason-Code", "Code"),
            &LIST.replace("768     2", "768"),
            &LIST.replace("r-----       0.9", "q-----       0.9"),
            &LIST.replace("       0.9 ", "       1.10 "),
            &LIST.replace("-0123456789ab", ""),
            &LIST
                .lines()
                .filter(|line| !line.starts_with("Domain-0"))
                .map(|line| format!("{line}\n"))
                .collect::<String>(),
            &format!("{LIST}\nlibxl: error"),
        ] {
            let guest =
                parse_domains(text).map(|all| all.odd.iter().any(|it| it.is_called("xb-8204")));
            assert!(guest.is_err() || guest == Ok(true), "{text:?}");
        }
    }

    #[test]
    fn a_guest_that_ended_with_a_code_of_its_own_hides_nothing() {
        // Any number may be given to SCHEDOP_shutdown; xl has letters for a few.
        let odd = ENDED.replace("--psc-", "--ps?-").replace("  3  ", " 77  ");
        let ended = parse_domain(&odd).unwrap();
        assert!(ended.shut_down && !ended.crashed && !ended.alive());
        assert_eq!(
            parse_domains(&format!("{LIST}{odd}\n"))
                .unwrap()
                .known
                .len(),
            3
        );
    }

    #[test]
    fn one_odd_row_never_hides_the_others() {
        let other = LIST.lines().last().unwrap().replace("8204", "8205");
        let other = other
            .replace("-200c-", "-200d-")
            .replace("r-----", "r-----x");
        let domains = parse_domains(&format!("{LIST}{other}\n")).unwrap();
        assert_eq!(domains.known.len(), 2);
        let [odd] = domains.odd.as_slice() else {
            panic!("{:?}", domains.odd)
        };
        assert!(odd.is_called("xb-8205") && !odd.is_called("xb-820"));
        assert_eq!(odd.uuid, "78620000-0000-0000-200d-0123456789ab");
    }

    #[test]
    fn what_the_hypervisor_says_of_itself() {
        let info = parse_info(INFO).unwrap();
        assert_eq!(
            (info.free_memory_mb, info.scheduler.as_str()),
            (1256, "credit2")
        );
        assert!(info.commandline.starts_with("dom0_mem=768M") && info.version == "4.17.5");
        assert!(parse_info(&INFO.replace("1256", "1k")).is_err());
        assert!(parse_info("").is_err());
    }

    // As print_vcpuinfo() of Xen 4.17 prints them.
    const VCPUS: &str = "\
Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)
Domain-0                             0     0    1   r--      487.9  all / all
xb-8204                              4     0    0   r--       12.9  all / all
xb-8204                              4     1    1   -b-        2.0  all / all
xb-8205                              5     0    1   ---       11.1  0-1 / all
xb-8205                              5     1    -   --p        0.0  all / all
";

    #[test]
    fn what_vcpus_do_is_read() {
        use VcpuState::{Idle, Running, Waiting};
        let found = parse_vcpus(VCPUS).unwrap();
        let all = [
            (0, Running, Some(1)),
            (4, Running, Some(0)),
            (4, Idle, Some(1)),
            (5, Waiting, Some(1)),
            (5, Idle, None),
        ];
        let seen: Vec<_> = found
            .iter()
            .map(|it| (it.domain, it.state, it.cpu))
            .collect();
        assert_eq!(seen, all);
        assert!([0, 1, 9].iter().all(|cpu| found[0].may_be_on(*cpu)));
        assert!(found[3].may_be_on(1) && !found[3].may_be_on(2));
        let some = Vcpu {
            may: "0-1,3".to_owned(),
            ..found[3].clone()
        };
        assert_eq!(
            [0, 1, 2, 3].map(|cpu| some.may_be_on(cpu)),
            [true, true, false, true]
        );
        assert!(parse_vcpus("").is_err());
        assert!(parse_vcpus(&VCPUS.replace("-b-", "?b-")).is_err());
    }

    #[test]
    fn weights_are_read() {
        assert_eq!(parse_weights(WEIGHTS).unwrap(), [(0, 256), (4, 300)]);
        assert!(parse_weights("xb-8204 4 300").is_err());
        assert!(parse_weights(&WEIGHTS.replace("300", "none")).is_err());
        assert!(parse_weights("").unwrap().is_empty());
    }
}
