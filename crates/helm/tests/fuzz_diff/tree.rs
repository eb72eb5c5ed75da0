//! Texts as trees, so that a case that differs can be cut down without knowing the grammar.

use crate::quote;

/// What may become of a piece of text when a case is made smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// It stays as long as what it is in.
    Fixed,
    /// It may be left out.
    Item,
    /// It may be replaced by an expression inside it, or by a literal.
    Expression,
    /// It stays, and stands for its text as a Go string.
    Quoted,
}

/// A text, or texts in a row.
#[derive(Clone, Debug)]
pub struct Tree {
    pub sort: Sort,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Tree(Tree),
}

impl Tree {
    pub fn new(sort: Sort) -> Self {
        Self { sort, parts: Vec::new() }
    }

    pub fn leaf(sort: Sort, text: impl Into<String>) -> Self {
        Self::new(sort).text(text)
    }

    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    #[must_use]
    pub fn tree(mut self, tree: Self) -> Self {
        self.parts.push(Part::Tree(tree));
        self
    }

    pub fn push(&mut self, tree: Self) {
        self.parts.push(Part::Tree(tree));
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The whole text.
    pub fn write(&self) -> String {
        let text: String = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Tree(tree) => tree.write(),
            })
            .collect();
        if self.sort == Sort::Quoted { quote(&text) } else { text }
    }

    /// How many trees there are.
    pub fn count(&self) -> usize {
        1 + self.trees().map(Self::count).sum::<usize>()
    }

    fn trees(&self) -> impl Iterator<Item = &Self> {
        self.parts.iter().filter_map(|part| match part {
            Part::Tree(tree) => Some(tree),
            Part::Text(_) => None,
        })
    }

    /// The tree at a place in preorder.
    pub fn at(&mut self, place: usize) -> Option<&mut Self> {
        if place == 0 {
            return Some(self);
        }
        let mut left = place - 1;
        for part in &mut self.parts {
            if let Part::Tree(tree) = part {
                let count = tree.count();
                if left < count {
                    return tree.at(left);
                }
                left -= count;
            }
        }
        None
    }

    /// What it may be replaced by, the smallest first.
    pub fn smaller(&self) -> Vec<Self> {
        match self.sort {
            Sort::Fixed | Sort::Quoted => Vec::new(),
            Sort::Item if self.is_empty() => Vec::new(),
            Sort::Item => vec![Self::new(Sort::Item)],
            Sort::Expression => {
                let mut found = Vec::new();
                if self.trees().next().is_some() {
                    found.push(Self::leaf(Sort::Expression, "1"));
                    found.push(Self::leaf(Sort::Expression, "\"a\""));
                }
                self.expressions(&mut found);
                found
            }
        }
    }

    /// The outermost expressions inside.
    fn expressions(&self, found: &mut Vec<Self>) {
        for tree in self.trees() {
            match tree.sort {
                Sort::Expression => found.push(tree.clone()),
                Sort::Quoted => {}
                Sort::Fixed | Sort::Item => tree.expressions(found),
            }
        }
    }
}
