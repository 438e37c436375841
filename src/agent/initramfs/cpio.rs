//! Archives in cpio's `newc` form, the one that kernels unpack. The same entries give the same bytes.

/// One archive in the making. Every path is relative; a folder comes before what is in it.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;
const DEVICE: u32 = 0o020_600;

impl Archive {
    pub(super) fn folder(&mut self, path: &str) {
        self.entry(path, FOLDER, (0, 0), &[]);
    }

    /// `mode`: the permission bits.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entry(path, FILE | mode, (0, 0), content);
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.entry(path, LINK, (0, 0), target.as_bytes());
    }

    /// A character device, readable and writable by root.
    pub(super) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, DEVICE, (major, minor), &[]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entries = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    /// Owner root, time zero, numbered in order: nothing of the machine that made it.
    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        let inode = self.entries;
        self.entries += 1;
        let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
        // A module of 4 GiB there is not; a wrong length would break the archive, an empty file only itself.
        let (length, content) =
            u32::try_from(content.len()).map_or((0, &[][..]), |length| (length, content));
        let name = u32::try_from(path.len() + 1).unwrap_or(0);
        let fields = [
            inode, mode, 0, 0, links, 0, length, 0, 0, device.0, device.1, name, 0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_archive_is_as_the_format_says() {
        let mut archive = Archive::default();
        archive.folder("d");
        archive.file("d/f", 0o755, b"hello");
        archive.link("l", "d/f");
        archive.device("c", 5, 1);
        let bytes = archive.finish();
        let mut shown = String::from_utf8_lossy(&bytes).replace('\0', ".");
        shown = shown.replace("070701", "\n070701");
        insta::assert_snapshot!(shown.trim_start(), @r"
        07070100000000000041ED0000000000000000000000020000000000000000000000000000000000000000000000000000000200000000d.
        07070100000001000081ED0000000000000000000000010000000000000005000000000000000000000000000000000000000400000000d/f...hello...
        070701000000020000A1FF0000000000000000000000010000000000000003000000000000000000000000000000000000000200000000l.d/f.
        07070100000003000021800000000000000000000000010000000000000000000000000000000000000005000000010000000200000000c.
        07070100000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000B00000000TRAILER!!!....
        ");
    }
}
