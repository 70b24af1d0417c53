//! Enough of the tar format (POSIX ustar with pax paths) for `docker cp` and `docker export`.

use bytes::Bytes;
use swarm_core::time::Wall;

const BLOCK: usize = 512;

/// The most entries one archive may have.
const MAX_ENTRIES: usize = 10_000;

/// One file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path without leading or trailing slashes.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Permission bits.
    pub mode: u32,
    /// Last change, with whole seconds in the archive.
    pub modified: Wall,
    /// Content, empty for a directory.
    pub data: Bytes,
}

/// Writes an archive.
pub fn write(entries: &[Entry]) -> Bytes {
    let mut archive = Vec::new();
    for entry in entries {
        let mut path = entry.path.clone();
        if entry.directory {
            path.push('/');
        }
        if path.len() > 100 {
            let record = pax_record("path", &path);
            archive.extend(header("pax", b'x', record.len(), 0o644, Wall(0)));
            pad(&mut archive, record.as_bytes());
        }
        let kind = if entry.directory { b'5' } else { b'0' };
        archive.extend(header(
            &path,
            kind,
            entry.data.len(),
            entry.mode,
            entry.modified,
        ));
        pad(&mut archive, &entry.data);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive.into()
}

/// Reads an archive; `None` if it is not one. Links and devices are left out.
pub fn read(archive: &Bytes) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut at = 0;
    let mut long_path = None;
    while let Some(header) = archive.get(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            return Some(entries);
        }
        if checksum(header) != octal(header.get(148..156)?)? || entries.len() == MAX_ENTRIES {
            return None;
        }
        let size = usize::try_from(octal(header.get(124..136)?)?).ok()?;
        let start = at + BLOCK;
        let end = start
            .checked_add(size)
            .filter(|end| *end <= archive.len())?;
        let data = archive.slice(start..end);
        at = start + size.div_ceil(BLOCK) * BLOCK;
        match header.get(156)? {
            b'x' => long_path = pax_path(&data),
            b'L' => long_path = Some(text(&data)),
            kind @ (b'0' | 0 | b'5') => entries.push(Entry {
                path: clean(&long_path.take().map_or_else(|| path(header), Some)?)?,
                directory: *kind == b'5',
                mode: u32::try_from(octal(header.get(100..108)?)?).ok()? & 0o7777,
                modified: Wall(octal(header.get(136..148)?)?.saturating_mul(1_000_000_000)),
                data,
            }),
            _ => long_path = None,
        }
    }
    // An archive may end without its two empty blocks, but not in the middle of an entry.
    (at == archive.len()).then_some(entries)
}

/// Removes `.`, empty and doubled parts; `None` for a path that climbs out.
pub fn clean(path: &str) -> Option<String> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

fn header(path: &str, kind: u8, size: usize, mode: u32, modified: Wall) -> Vec<u8> {
    let mut header = vec![0; BLOCK];
    let mut put = |at: usize, text: &[u8]| {
        for (slot, byte) in header.iter_mut().skip(at).zip(text) {
            *slot = *byte;
        }
    };
    let short = path
        .as_bytes()
        .get(..path.len().min(100))
        .unwrap_or_default();
    put(0, short);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{:011o}", modified.seconds()).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(265, b"root");
    put(297, b"root");
    let sum = checksum(&header);
    for (slot, byte) in header
        .iter_mut()
        .skip(148)
        .zip(format!("{sum:06o}\0 ").bytes())
    {
        *slot = byte;
    }
    header
}

/// The sum of all bytes, those of the sum itself counted as spaces.
fn checksum(header: &[u8]) -> u64 {
    let sum_field = 148..156;
    header
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if sum_field.contains(&at) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum()
}

fn pad(archive: &mut Vec<u8>, data: &[u8]) {
    archive.extend_from_slice(data);
    archive.resize(archive.len().div_ceil(BLOCK) * BLOCK, 0);
}

/// `length key=value\n`, the length counting itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

fn pax_path(records: &[u8]) -> Option<String> {
    let mut rest = records;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let length: usize = text(rest.get(..space)?).parse().ok()?;
        let record = text(rest.get(space + 1..length)?);
        if let Some(path) = record.strip_prefix("path=") {
            return Some(path.trim_end_matches('\n').to_owned());
        }
        rest = rest.get(length..)?;
    }
    None
}

fn path(header: &[u8]) -> Option<String> {
    let name = text(header.get(..100)?);
    let prefix = text(header.get(345..500)?);
    Some(if prefix.is_empty() {
        name
    } else {
        format!("{prefix}/{name}")
    })
}

/// Up to the first NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = text(field);
    let digits = digits.trim();
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_that_climb_out_are_refused() {
        assert_eq!(clean("./a//b/"), Some("a/b".to_owned()));
        assert_eq!(clean("a/../../etc"), None);
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(
            files in proptest::collection::vec(("[a-z]{1,60}(/[a-z]{1,60}){0,3}", any::<bool>(), 0..1_500usize), 0..8)
        ) {
            let entries: Vec<Entry> = files
                .into_iter()
                .map(|(path, directory, size)| Entry {
                    path,
                    directory,
                    mode: 0o644,
                    modified: Wall(1_700_000_000_000_000_000),
                    data: if directory { Bytes::new() } else { vec![7; size].into() },
                })
                .collect();
            prop_assert_eq!(read(&write(&entries)), Some(entries));
        }

        #[test]
        fn damaged_archives_never_panic(at in 0..2_048usize, byte: u8, cut in 0..3_000usize) {
            let entry = Entry {
                path: "x".repeat(150),
                directory: false,
                mode: 0o600,
                modified: Wall(0),
                data: Bytes::from_static(b"data"),
            };
            let mut archive = write(&[entry]).to_vec();
            if let Some(slot) = archive.get_mut(at) {
                *slot = byte;
            }
            archive.truncate(cut);
            let _ = read(&archive.into());
        }
    }
}
