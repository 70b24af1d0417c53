//! Durations as Go writes them.

use swarm_core::duration::GoDuration;

/// What is read is printed so that it is read again, and only what is not negative leaves the configuration.
///
/// # Panics
/// When that is not so.
pub fn duration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let read = match text.parse::<GoDuration>() {
        Ok(read) => read,
        Err(error) => {
            let shown = error.to_string();
            assert!(
                shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "an error shows raw bytes: {shown:?}"
            );
            return;
        }
    };
    let printed = read.to_string();
    assert_eq!(printed.parse(), Ok(read), "{text:?} became {printed:?}");
    assert_eq!(read.to_duration().is_some(), read.nanos() >= 0, "{text:?}");
}
