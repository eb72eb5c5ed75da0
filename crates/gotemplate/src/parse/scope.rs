//! The variables of a template body, and their slots in its frame.

/// The variables in scope.
pub(super) struct Scope<'t> {
    names: Vec<(&'t [u8], Option<u32>)>,
    /// How many slots are taken.
    slots: u32,
}

impl Default for Scope<'_> {
    fn default() -> Self {
        Self { names: vec![(b"$".as_slice(), Some(0))], slots: 1 }
    }
}

impl<'t> Scope<'t> {
    /// Whether Go's parser knows the name, and the slot of the innermost variable that has it.
    pub(super) fn find(&self, name: &[u8]) -> (bool, Option<u32>) {
        let mut is_known = false;
        for (_, slot) in self.names.iter().rev().filter(|(known, _)| *known == name) {
            is_known = true;
            if slot.is_some() {
                return (true, *slot);
            }
        }
        (is_known, None)
    }

    /// Makes the name known without a variable: Go's parser takes `$x` in `$x := $x` for the new one, but the
    /// variable comes into being only when the pipeline has been evaluated.
    pub(super) fn announce(&mut self, name: &'t [u8]) {
        self.names.push((name, None));
    }

    pub(super) fn declare(&mut self, name: &'t [u8]) -> u32 {
        let slot = self.slots;
        self.slots += 1;
        self.names.push((name, Some(slot)));
        slot
    }

    /// Where a control structure begins.
    pub(super) fn mark(&self) -> (usize, u32) {
        (self.names.len(), self.slots)
    }

    /// Forgets what was declared since.
    pub(super) fn leave(&mut self, (names, slots): (usize, u32)) {
        self.names.truncate(names);
        self.slots = slots;
    }
}
