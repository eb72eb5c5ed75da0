//! Orders the keys of a map as go-yaml does: naturally, with numbers inside of keys compared as numbers.
//!
//! Go: the relation is not transitive for some mixes (`9` < `10` < `1a` < `9`), which the sort must bear.

use crate::unicode::{MARKS, ZEROS};

/// Which go-yaml's order is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    V2,
    V3,
}

/// Whether `a` comes before `b`.
pub(crate) fn less(a: &str, b: &str, order: Order) -> bool {
    let mut common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    while !a.is_char_boundary(common) || !b.is_char_boundary(common) {
        common -= 1;
    }
    let (same, a) = a.split_at(common);
    let (_, b) = b.split_at(common);
    let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else {
        return a.len() < b.len();
    };
    let (x_letter, y_letter) = (is_letter(x), is_letter(y));
    if x_letter && y_letter {
        return x < y;
    }
    if x_letter || y_letter {
        // Version 3 puts the end of a number before a letter.
        let in_number = order == Order::V3 && same.chars().next_back().is_some_and(is_digit);
        return if in_number { x_letter } else { y_letter };
    }
    // A zero that continues a number is not a leading one.
    let continues =
        (x == '0' || y == '0') && same.chars().rev().take_while(|&c| is_digit(c)).any(|c| c != '0');
    let number = |text: &str| {
        let digits = text.chars().take_while(|&c| is_digit(c));
        digits.fold((i64::from(continues), 0usize), |(value, length), c| {
            (value.wrapping_mul(10).wrapping_add(i64::from(u32::from(c)) - i64::from(b'0')), length + 1)
        })
    };
    let ((x_number, x_length), (y_number, y_length)) = (number(a), number(b));
    if x_number != y_number {
        return x_number < y_number;
    }
    if x_length != y_length {
        return x_length < y_length;
    }
    x < y
}

/// Sorts `items` by a relation that need not be an order.
pub(crate) fn sort<T: Copy>(items: &mut [T], less: impl Fn(T, T) -> bool) {
    // The library's sort may panic if the relation is inconsistent; a merge sort cannot.
    let sorted = |items: &[T]| items.windows(2).all(|pair| matches!(pair, &[a, b] if !less(b, a)));
    if sorted(items) {
        return;
    }
    let mut from = items.to_vec();
    let mut width = 1;
    while width < from.len() {
        let mut merged = Vec::with_capacity(from.len());
        for pair in from.chunks(2 * width) {
            let (left, right) = pair.split_at(width.min(pair.len()));
            let (mut left, mut right) = (left.iter().copied().peekable(), right.iter().copied().peekable());
            while let (Some(&a), Some(&b)) = (left.peek(), right.peek()) {
                if less(b, a) {
                    merged.extend(right.next());
                } else {
                    merged.extend(left.next());
                }
            }
            merged.extend(left);
            merged.extend(right);
        }
        from = merged;
        width *= 2;
    }
    items.copy_from_slice(&from);
}

/// Whether Go's `unicode.IsLetter` holds.
fn is_letter(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphabetic() } else { c.is_alphabetic() && !is_mark(c) }
}

/// Whether Go's `unicode.IsDigit` holds.
fn is_digit(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    let c = u32::from(c);
    let index = ZEROS.partition_point(|&zero| zero <= c);
    // The mathematical digits come in five sets without a gap.
    index
        .checked_sub(1)
        .and_then(|index| ZEROS.get(index))
        .is_some_and(|&zero| c - zero < if zero == 0x1D7CE { 50 } else { 10 })
}

/// Whether a character that Rust calls alphabetic is a mark, a number or a symbol to Go.
fn is_mark(c: char) -> bool {
    let c = u32::from(c);
    let index = MARKS.partition_point(|&(start, _)| start <= c);
    index.checked_sub(1).and_then(|index| MARKS.get(index)).is_some_and(|&(_, end)| c <= end)
}
