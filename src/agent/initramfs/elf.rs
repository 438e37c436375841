//! The little that is asked of a program's file (64 bits, little-endian): its program headers.

/// Of the kind `PT_INTERP` and `PT_NOTE`.
const INTERPRETER: usize = 3;
const NOTE: usize = 4;
/// A note of the name `GNU`: for which system, and from which version of it, a program was made.
const ABI: usize = 1;

fn number(elf: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = elf.get(at..at.checked_add(length)?)?;
    let number = bytes.iter().rev();
    Some(number.fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// Where its program headers of one kind are; `None` if the file is not whole.
fn headers(elf: &[u8], kind: usize) -> Option<Vec<usize>> {
    let field = |at| number(elf, at, 2);
    let (start, size, count) = (number(elf, 32, 8)?, field(54)?, field(56)?);
    let mut found = Vec::new();
    for index in 0..count {
        let at = start.checked_add(index * size)?;
        if number(elf, at, 4)? == kind {
            found.push(at);
        }
    }
    Some(found)
}

/// Does it name a dynamic loader, or is it not to be understood?
pub(super) fn has_interpreter(elf: &[u8]) -> bool {
    headers(elf, INTERPRETER).is_none_or(|found| !found.is_empty())
}

/// The oldest Linux it says it runs on. What glibc is built for is 3.2 since long; others say nothing.
pub(super) fn least_kernel(elf: &[u8]) -> Option<(u32, u32, u32)> {
    headers(elf, NOTE)?.into_iter().find_map(|header| {
        in_notes(
            elf,
            number(elf, header + 8, 8)?,
            number(elf, header + 32, 8)?,
        )
    })
}

fn in_notes(elf: &[u8], start: usize, length: usize) -> Option<(u32, u32, u32)> {
    let end = start.checked_add(length)?;
    let mut at = start;
    while at < end {
        let (name, about, kind) = (
            number(elf, at, 4)?,
            number(elf, at + 4, 4)?,
            number(elf, at + 8, 4)?,
        );
        let content = at + 12 + name.checked_next_multiple_of(4)?;
        if kind == ABI && elf.get(at + 12..at + 16)? == b"GNU\0" && number(elf, content, 4)? == 0 {
            let part = |n: usize| u32::try_from(number(elf, content + 4 * n, 4)?).ok();
            return Some((part(1)?, part(2)?, part(3)?));
        }
        at = content.checked_add(about.checked_next_multiple_of(4)?)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With one header of this kind, for what stands behind it.
    fn program(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        (elf[32], elf[54], elf[56], elf[64]) = (64, 56, 1, kind);
        (elf[72], elf[96]) = (120, u8::try_from(content.len()).unwrap());
        elf.extend(content);
        elf
    }

    #[test]
    fn a_program_says_what_it_needs() {
        let note = |kind: u8, least: [u8; 3]| {
            let mut note = vec![4, 0, 0, 0, 16, 0, 0, 0, kind, 0, 0, 0];
            note.extend(b"GNU\0\0\0\0\0");
            least.iter().for_each(|part| note.extend([*part, 0, 0, 0]));
            note
        };
        let two = [note(5, [9, 9, 9]), note(1, [3, 2, 0])].concat();
        assert_eq!(least_kernel(&program(4, &two)), Some((3, 2, 0)));
        assert_eq!(least_kernel(&program(4, &note(5, [9, 9, 9]))), None);
        assert_eq!(least_kernel(&program(4, &two[..40])), None, "cut short");
        assert_eq!(least_kernel(&program(1, &two)), None);
        assert!(has_interpreter(&program(3, b"/lib")) && has_interpreter(b"\x7fELF"));
        assert!(!has_interpreter(&program(4, &two)));
    }
}
