//! References to images, and an engine's list of images.

use swarm_core::cluster::{Image, Reference};

/// A reference loses nothing when it is split, and an image answers to each of its own names.
///
/// # Panics
/// When that is not so.
pub fn image(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        reference(text);
    }
    for image in Image::parse_list(bytes).unwrap_or_default() {
        assert!(image.matches(&image.id), "{image:?}");
        for name in image.tags.iter().chain(&image.digests) {
            assert!(!name.starts_with("<none>"), "{image:?}");
            assert!(image.matches(name), "{name:?} of {image:?}");
        }
        assert_eq!(
            image.is_nameless(),
            image.tags.is_empty() && image.digests.is_empty()
        );
    }
}

fn reference(text: &str) {
    let split = Reference::parse(text);
    let joined = match split.suffix {
        Some(digest) if text.contains('@') => format!("{}@{digest}", split.name),
        Some(tag) => format!("{}:{tag}", split.name),
        None => split.name.to_owned(),
    };
    assert_eq!(joined, text);
    assert!(split.name.ends_with(split.repository()), "{text:?}");
    if !text.contains('@') {
        assert!(split.suffix.is_none_or(|tag| !tag.contains('/')));
    }
}
