//! Files that people attach: what they are is read from their bytes, never from their names. Text, PNG and JPEG are taken;
//! a picture is walked part by part, and what stands behind its end is cut off.

use std::borrow::Cow;

use crate::domain::values::Invalid;
use crate::string_enum;

string_enum! {
    pub enum FileKind { Text = "text", Recoded = "recoded", Png = "png", Jpeg = "jpeg" }
}

/// Limits: bytes of a file, files of a post, files of a thread, bytes of everything an account has attached.
pub const MOST_BYTES: usize = 1024 * 1024;
pub const MOST_FILES: usize = 5;
pub const MOST_OF_THREAD: i64 = 500;
pub const MOST_OF_ACCOUNT: i64 = 50 * 1024 * 1024;
/// Larger pictures are a burden for whoever looks at them.
const MOST_SIDE: u32 = 12_000;

/// A file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub name: String,
    pub kind: FileKind,
    pub bytes: Vec<u8>,
}

impl FileKind {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text | Self::Recoded => "text/plain; charset=utf-8",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Text | Self::Recoded => ".txt",
            Self::Png => ".png",
            Self::Jpeg => ".jpg",
        }
    }

    pub fn is_picture(self) -> bool {
        match self {
            Self::Text | Self::Recoded => false,
            Self::Png | Self::Jpeg => true,
        }
    }
}

impl Attachment {
    pub fn parse(name: &str, mut bytes: Vec<u8>) -> Result<Self, Invalid> {
        let shown = shown(name);
        let refuse = |why: &str| Err(Invalid(format!("{shown}: {why}")));
        if bytes.is_empty() {
            return refuse("the file is empty");
        }
        if bytes.len() > MOST_BYTES {
            return refuse("the file is larger than 1 MiB");
        }
        let kind = if bytes.starts_with(PNG) {
            let Some(end) = png_end(&bytes) else {
                return refuse("the PNG picture is broken or too large");
            };
            bytes.truncate(end);
            FileKind::Png
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            let Some(end) = jpeg_end(&bytes) else {
                return refuse("the JPEG picture is broken or too large");
            };
            bytes.truncate(end);
            FileKind::Jpeg
        } else {
            let Some((kind, text)) = text(&bytes) else {
                return refuse(
                    "only text, PNG and JPEG files can be attached. If it is text, save it as UTF-8",
                );
            };
            if is_markup(&text) {
                return refuse(
                    "HTML, SVG and XML cannot be attached; paste them as text, or attach a PNG picture",
                );
            }
            bytes = text.into_owned().into_bytes();
            if bytes.len() > MOST_BYTES {
                return refuse("the file is larger than 1 MiB as UTF-8");
            }
            kind
        };
        Ok(Self {
            name: named(&shown, kind),
            kind,
            bytes,
        })
    }
}

/// Text as UTF-8; `None` for what is none. The log of a crash has zeros where a file system lost its last blocks, and one of the
/// wrong encoding says more than none: such a file is put right, and called [`FileKind::Recoded`].
fn text(bytes: &[u8]) -> Option<(FileKind, Cow<'_, str>)> {
    let is_plain = |c: char| c != '\0';
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.chars().all(is_plain)
    {
        return Some((FileKind::Text, Cow::Borrowed(text)));
    }
    if PROGRAMS.iter().any(|magic| bytes.starts_with(magic)) {
        return None;
    }
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    let odd = |c: &char| {
        *c == char::REPLACEMENT_CHARACTER
            || c.is_control() && !"\0\t\n\r\x0b\x0c\x08\x1b".contains(*c)
    };
    let letters = text.chars().filter(|c| is_plain(*c)).count();
    let reads = letters > 0 && text.chars().filter(odd).count() * ODD_OF <= letters;
    reads.then(|| (FileKind::Recoded, Cow::Owned(with_zeros_told(&text))))
}

/// A text has at most one odd letter of so many; Latin-1 in German has one of forty.
const ODD_OF: usize = 5;

/// What files begin with that nobody reads: PDF, DOS and ELF programs, archives, pictures.
const PROGRAMS: &[&[u8]] = &[
    b"%PDF-",
    b"\x89PNG",
    b"\xff\xd8",
    b"MZ",
    b"\x7fELF",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"7z\xbc\xaf",
    b"GIF8",
    b"RIFF",
];

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks();
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Each run of NULs as a word.
fn with_zeros_told(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\0') {
        let (before, after) = rest.split_at(at);
        let next = after.trim_start_matches('\0');
        out.push_str(before);
        out.push_str(&match after.len() - next.len() {
            1 => "[1 zero byte]".to_owned(),
            count => format!("[{count} zero bytes]"),
        });
        rest = next;
    }
    out.push_str(rest);
    out
}

/// The last part of a name, in characters that cannot do anything in a header or a path.
fn shown(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || "-_.".contains(c) => c,
            _ => '_',
        })
        .take(80)
        .collect();
    let plain = plain.trim_matches(['.', '_']);
    if plain.is_empty() {
        "file".to_owned()
    } else {
        plain.to_owned()
    }
}

/// With the ending of what it is, so that no program that goes by names takes it for something else.
fn named(name: &str, kind: FileKind) -> String {
    let lower = name.to_ascii_lowercase();
    let endings: &[&str] = match kind {
        FileKind::Text | FileKind::Recoded => &[".txt", ".log", ".conf"],
        FileKind::Png => &[".png"],
        FileKind::Jpeg => &[".jpg", ".jpeg"],
    };
    let fits = endings.iter().any(|end| lower.ends_with(end));
    if fits {
        name.to_owned()
    } else {
        format!("{name}{}", kind.ending())
    }
}

/// Does a text begin like HTML, SVG or other XML? A kernel's `<6>` does not.
fn is_markup(text: &str) -> bool {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let mut rest = text.trim_start_matches(blank);
    while let Some(after) = rest.strip_prefix("<!--") {
        rest = after
            .split_once("-->")
            .map_or("", |(_, rest)| rest)
            .trim_start_matches(blank);
    }
    let mut chars = rest.chars();
    chars.next() == Some('<')
        && chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '!' || c == '?')
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// Where a PNG ends: behind its IEND, if it is made of whole chunks, IHDR first, with sane sides.
fn png_end(bytes: &[u8]) -> Option<usize> {
    let mut at = PNG.len();
    let mut first = true;
    let mut has_data = false;
    loop {
        let length = usize::try_from(be32(bytes, at)?).ok()?;
        let kind = bytes.get(at + 4..at + 8)?;
        let end = at.checked_add(12)?.checked_add(length)?;
        if end > bytes.len() {
            return None;
        }
        if first {
            let (width, height) = (be32(bytes, at + 8)?, be32(bytes, at + 12)?);
            let sane = (1..=MOST_SIDE).contains(&width) && (1..=MOST_SIDE).contains(&height);
            if kind != b"IHDR" || length != 13 || !sane {
                return None;
            }
            first = false;
        }
        has_data |= kind == b"IDAT";
        if kind == b"IEND" {
            return has_data.then_some(end);
        }
        at = end;
    }
}

/// Where a JPEG ends: behind its end marker, if its segments are whole and its sides sane.
fn jpeg_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    let mut has_frame = false;
    loop {
        if *bytes.get(at)? != 0xff {
            return None;
        }
        let marker = *bytes.get(at + 1)?;
        match marker {
            0xff => at += 1,
            0xd9 => return has_frame.then_some(at + 2),
            0x01 | 0xd0..=0xd7 => at += 2,
            0x00 | 0xd8 => return None,
            _ => {
                let length = usize::from(u16::from_be_bytes([
                    *bytes.get(at + 2)?,
                    *bytes.get(at + 3)?,
                ]));
                if length < 2 {
                    return None;
                }
                let is_frame =
                    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
                if is_frame {
                    let side = |at: usize| {
                        Some(u32::from(u16::from_be_bytes([
                            *bytes.get(at)?,
                            *bytes.get(at + 1)?,
                        ])))
                    };
                    let (height, width) = (side(at + 5)?, side(at + 7)?);
                    let sane =
                        (1..=MOST_SIDE).contains(&width) && (1..=MOST_SIDE).contains(&height);
                    if !sane {
                        return None;
                    }
                    has_frame = true;
                }
                at = at.checked_add(2)?.checked_add(length)?;
                if marker == 0xda {
                    at = scan_end(bytes, at)?;
                }
            }
        }
    }
}

/// The next marker after the coded data of a scan.
fn scan_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        if *bytes.get(at)? == 0xff && !matches!(*bytes.get(at + 1)?, 0x00 | 0xd0..=0xd7 | 0xff) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut out = PNG.to_vec();
        let mut chunk = |kind: &[u8], data: &[u8]| {
            out.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            out.extend(kind);
            out.extend(data);
            out.extend([0; 4]);
        };
        let mut head = width.to_be_bytes().to_vec();
        head.extend(height.to_be_bytes());
        head.extend([8, 2, 0, 0, 0]);
        chunk(b"IHDR", &head);
        chunk(b"IDAT", &[1, 2, 3]);
        chunk(b"IEND", &[]);
        out
    }

    fn jpeg() -> Vec<u8> {
        let mut out = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2];
        out.extend([0xff, 0xc0, 0, 11, 8, 0, 20, 0, 10, 1, 1, 0x11, 0]);
        out.extend([0xff, 0xda, 0, 4, 1, 1, 9, 0xff, 0, 9, 0xff, 0xd0, 7]);
        out.extend([0xff, 0xd9]);
        out
    }

    #[test]
    fn what_a_file_is_its_bytes_say() {
        let text =
            Attachment::parse("boot.log", b"<6>Linux version 2.6\n\x1b[0m".to_vec()).unwrap();
        assert_eq!(
            (text.kind, text.name.as_str()),
            (FileKind::Text, "boot.log")
        );
        let picture = Attachment::parse("shot.html", png(3, 4)).unwrap();
        assert_eq!(
            (picture.kind, picture.name.as_str()),
            (FileKind::Png, "shot.html.png")
        );
        let photo = Attachment::parse("p.JPG", jpeg()).unwrap();
        assert_eq!((photo.kind, photo.name.as_str()), (FileKind::Jpeg, "p.JPG"));
    }

    /// The files that a member has after a bad boot.
    #[test]
    fn the_log_of_a_crash_is_taken_and_made_readable() {
        let utf_16 = |text: &str, to: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}"
                .encode_utf16()
                .chain(text.encode_utf16())
                .flat_map(to)
                .collect()
        };
        let zeros = [
            &b"Oct  8 web kernel: ok\n"[..],
            &[0; 400],
            b"Oct  8 web kernel: up\n",
        ]
        .concat();
        for (bytes, kind, text) in [
            (
                zeros,
                FileKind::Recoded,
                "Oct  8 web kernel: ok\n[400 zero bytes]Oct  8 web kernel: up\n",
            ),
            (
                utf_16("Kernel panic\r\n", u16::to_le_bytes),
                FileKind::Recoded,
                "Kernel panic\r\n",
            ),
            (
                utf_16("Kernel panic\r\n", u16::to_be_bytes),
                FileKind::Recoded,
                "Kernel panic\r\n",
            ),
            (
                b"Gr\xfc\xdfe von web\n".to_vec(),
                FileKind::Recoded,
                "Gr\u{fffd}\u{fffd}e von web\n",
            ),
            (
                b"< HTTP/1.1 502\n\n<html><body>Bad Gateway".to_vec(),
                FileKind::Text,
                "< HTTP/1.1 502\n\n<html><body>Bad Gateway",
            ),
        ] {
            let file = Attachment::parse("boot.log", bytes).unwrap();
            assert_eq!(
                (file.kind, std::str::from_utf8(&file.bytes).unwrap()),
                (kind, text)
            );
        }
        // Each two bytes of UTF-16 can be three of UTF-8.
        let long = utf_16(&"\u{ac00}".repeat(MOST_BYTES / 2 - 1), u16::to_le_bytes);
        assert!(
            Attachment::parse("a", long)
                .unwrap_err()
                .0
                .contains("larger")
        );
    }

    #[test]
    fn what_stands_behind_a_picture_is_cut_off() {
        for whole in [png(3, 4), jpeg()] {
            let mut tail = whole.clone();
            tail.extend(b"<script>alert(1)</script>");
            assert_eq!(Attachment::parse("x", tail).unwrap().bytes, whole);
            for end in 4..whole.len() {
                assert!(
                    Attachment::parse("x", whole[..end].to_vec()).is_err(),
                    "{end}"
                );
            }
        }
        assert!(Attachment::parse("bomb.png", png(100_000, 1)).is_err());
        assert!(Attachment::parse("flat.png", png(0, 1)).is_err());
    }

    #[test]
    fn markup_and_unknown_bytes_are_refused_with_a_word() {
        for foul in [
            "<svg xmlns='x'><script>alert(1)</script></svg>",
            "\u{feff}  <?xml version='1.0'?><svg/>",
            " \u{feff}\u{feff}<!-- -->\u{feff}<html>",
            "<!-- <6> --><html>",
            "<!DOCTYPE html>",
        ] {
            let why = Attachment::parse("a.txt", foul.as_bytes().to_vec())
                .unwrap_err()
                .0;
            assert!(why.contains("HTML, SVG and XML"), "{foul}: {why}");
        }
        let random: Vec<u8> = (0..2000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let koi8 = b"\xf0\xd2\xc9\xd7\xc5\xd4 \xcd\xc9\xd2";
        for foul in [
            &b"\xff\xfe\0"[..],
            b"\xff\xfe",
            b"MZ\0\0",
            b"%PDF-1.4\xe2",
            b"\0\0\0",
            &random,
            koi8,
        ] {
            let why = Attachment::parse("a.png", foul.to_vec()).unwrap_err().0;
            assert!(why.contains("save it as UTF-8"), "{why}");
        }
        assert!(Attachment::parse("a", Vec::new()).is_err());
        assert!(Attachment::parse("a", vec![b'a'; MOST_BYTES + 1]).is_err());
    }

    #[test]
    fn names_cannot_do_anything() {
        for (name, shown) in [
            ("../../etc/passwd", "passwd.txt"),
            ("C:\\x\\a\r\nSet-Cookie: b=c.txt", "a__Set-Cookie__b_c.txt"),
            ("\"quoted\".log", "quoted_.log"),
            ("...", "file.txt"),
            ("", "file.txt"),
            ("x.txt.exe", "x.txt.exe.txt"),
        ] {
            assert_eq!(Attachment::parse(name, b"x".to_vec()).unwrap().name, shown);
        }
    }
}
