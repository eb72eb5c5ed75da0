//! Scans what is written beside a value: directives, tags and anchors.

use crate::chars::{is_alpha, is_blank, is_blankz, width};
use crate::scanner::Scanner;
use crate::token::{Kind, Problem, Tag};

impl<'a> Scanner<'a> {
    /// Scans `%YAML 1.1` or `%TAG !handle! prefix`.
    pub(crate) fn scan_directive(&mut self) -> Result<Kind<'a>, Problem> {
        let start = self.mark.line;
        self.advance(1);
        self.need(1)?;
        let name = self.alphas()?;
        if name.is_empty() {
            return Err(self.problem("could not find expected directive name", start));
        }
        if !is_blankz(self.bytes, self.position) {
            return Err(self.problem("found unexpected non-alphabetical character", start));
        }
        let kind = match name {
            "YAML" => self.scan_version(start)?,
            "TAG" => self.scan_tag_directive(start)?,
            _ => return Err(self.problem("found unknown directive name", start)),
        };
        self.need(1)?;
        self.finish_line(start)?;
        Ok(kind)
    }

    fn scan_version(&mut self, start: usize) -> Result<Kind<'a>, Problem> {
        self.skip_blanks()?;
        let major = self.scan_version_number(start)?;
        if self.byte(0) != b'.' {
            return Err(self.problem("did not find expected digit or '.' character", start));
        }
        self.advance(1);
        let minor = self.scan_version_number(start)?;
        Ok(Kind::Version { major, minor })
    }

    fn scan_version_number(&mut self, start: usize) -> Result<u8, Problem> {
        self.need(1)?;
        let mut value = 0;
        let mut length = 0;
        while self.byte(0).is_ascii_digit() {
            length += 1;
            if length > 2 {
                return Err(self.problem("found extremely long version number", start));
            }
            value = value * 10 + (self.byte(0) - b'0');
            self.advance(1);
            self.need(1)?;
        }
        if length == 0 {
            return Err(self.problem("did not find expected version number", start));
        }
        Ok(value)
    }

    fn scan_tag_directive(&mut self, start: usize) -> Result<Kind<'a>, Problem> {
        self.skip_blanks()?;
        let handle = self.scan_tag_handle(true, start)?;
        self.need(1)?;
        if !is_blank(self.bytes, self.position) {
            return Err(self.problem("did not find expected whitespace", start));
        }
        self.skip_blanks()?;
        let prefix = self.scan_tag_uri("", start)?;
        self.need(1)?;
        if !is_blankz(self.bytes, self.position) {
            return Err(self.problem("did not find expected whitespace or line break", start));
        }
        Ok(Kind::TagDirective(Box::new(Tag { handle, rest: prefix })))
    }

    /// Scans the name after `&` or `*`.
    pub(crate) fn scan_anchor(&mut self) -> Result<&'a str, Problem> {
        let start = self.mark.line;
        self.advance(1);
        self.need(1)?;
        let name = self.alphas()?;
        let ends = is_blankz(self.bytes, self.position)
            || matches!(self.byte(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ends {
            return Err(self.problem("did not find expected alphabetic or numeric character", start));
        }
        Ok(name)
    }

    /// Scans `!<uri>`, `!suffix`, `!handle!suffix` or `!`.
    pub(crate) fn scan_tag(&mut self) -> Result<Kind<'a>, Problem> {
        let start = self.mark.line;
        self.need(2)?;
        let (handle, suffix) = if self.byte(1) == b'<' {
            self.advance(2);
            let suffix = self.scan_tag_uri("", start)?;
            if self.byte(0) != b'>' {
                return Err(self.problem("did not find the expected '>'", start));
            }
            self.advance(1);
            (String::new(), suffix)
        } else {
            let handle = self.scan_tag_handle(false, start)?;
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.scan_tag_uri("", start)?;
                (handle, suffix)
            } else {
                // No handle after all: what was read starts the suffix of the primary one.
                let suffix = self.scan_tag_uri(&handle, start)?;
                if suffix.is_empty() { (suffix, "!".to_owned()) } else { ("!".to_owned(), suffix) }
            }
        };
        self.need(1)?;
        if !is_blankz(self.bytes, self.position) {
            return Err(self.problem("did not find expected whitespace or line break", start));
        }
        Ok(Kind::Tag(Box::new(Tag { handle, rest: suffix })))
    }

    fn scan_tag_handle(&mut self, directive: bool, start: usize) -> Result<String, Problem> {
        self.need(1)?;
        if self.byte(0) != b'!' {
            return Err(self.problem("did not find expected '!'", start));
        }
        self.advance(1);
        self.need(1)?;
        let mut handle = String::from("!");
        handle.push_str(self.alphas()?);
        if self.byte(0) == b'!' {
            self.advance(1);
            handle.push('!');
        } else if directive && handle != "!" {
            return Err(self.problem("did not find expected '!'", start));
        }
        Ok(handle)
    }

    /// Scans the rest of a tag whose start, `head`, was taken for a handle.
    fn scan_tag_uri(&mut self, head: &str, start: usize) -> Result<String, Problem> {
        let mut found = !head.is_empty();
        let mut uri = head.get(1..).unwrap_or_default().as_bytes().to_vec();
        self.need(1)?;
        loop {
            match self.byte(0) {
                b'%' => self.scan_uri_escapes(start, &mut uri)?,
                b if is_alpha(b) || b";/?:@&=+$,.!~*'()[]".contains(&b) => {
                    uri.push(b);
                    self.advance(1);
                }
                _ => break,
            }
            self.need(1)?;
            found = true;
        }
        if !found {
            return Err(self.problem("did not find expected tag URI", start));
        }
        // Escapes are checked for the shape of UTF-8, not for its values.
        Ok(String::from_utf8_lossy(&uri).into_owned())
    }

    /// Decodes the `%xx` of one character.
    fn scan_uri_escapes(&mut self, start: usize, uri: &mut Vec<u8>) -> Result<(), Problem> {
        let mut left = None;
        while left != Some(0) {
            self.need(3)?;
            let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let (b'%', Some(high), Some(low)) = (self.byte(0), digit(self.byte(1)), digit(self.byte(2)))
            else {
                return Err(self.problem("did not find URI escaped octet", start));
            };
            let octet = high << 4 | low;
            left = Some(match left {
                None if octet & 0xC0 == 0x80 || octet >= 0xF8 => {
                    return Err(self.problem("found an incorrect leading UTF-8 octet", start));
                }
                None => width(octet) - 1,
                Some(_) if octet & 0xC0 != 0x80 => {
                    return Err(self.problem("found an incorrect trailing UTF-8 octet", start));
                }
                Some(left) => left - 1,
            });
            uri.push(octet);
            self.advance(3);
        }
        Ok(())
    }
}
