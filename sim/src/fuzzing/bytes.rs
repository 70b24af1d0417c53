//! Takes an input apart.

/// Numbers drawn from bytes, total: behind the end there are zeroes, so a shorter input is a simpler case.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// Of two bytes, the larger first.
    pub(super) fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Of eight bytes, the largest first.
    pub(super) fn long(&mut self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Less than `bound`, which is at least 1.
    pub(super) fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }
}

/// Cuts at the lines that hold nothing but `---`; the line ends around them belong to them.
pub(super) fn sections(bytes: &[u8]) -> Vec<&[u8]> {
    const CUT: &[u8] = b"\n---\n";
    let mut sections = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(CUT.len()).position(|window| window == CUT) {
        let (section, after) = rest.split_at(at);
        sections.push(section);
        rest = after.get(CUT.len()..).unwrap_or_default();
    }
    sections.push(rest);
    sections
}
