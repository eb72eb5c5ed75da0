//! Lists as helm prints them: a table, JSON or YAML.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns.
    Table,
    /// One line of JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Writes rows as columns, each as wide as its widest cell and at most `limit` characters; 0 is no limit.
///
/// # Compatibility
/// As `github.com/gosuri/uitable`, which helm uses: cells are padded, a tab stands between them, and what is too
/// long ends in three dots.
pub fn write_table(out: &mut dyn Write, rows: &[Vec<&str>], limit: usize) -> std::io::Result<()> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            let own = cell.chars().count();
            *width = (*width).max(if limit == 0 { own } else { own.min(limit) });
        }
    }
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| resized(cell, *width)).collect();
        writeln!(out, "{}", cells.join("\t"))?;
    }
    Ok(())
}

fn resized(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return format!("{cell:width$}");
    }
    let kept: String = cell.chars().take(width.saturating_sub(3).max(1)).collect();
    format!("{kept}...")
}

/// Writes a list as one line of JSON or as YAML.
pub fn write_list<T: Serialize>(out: &mut dyn Write, list: &[T], json: bool) -> anyhow::Result<()> {
    if json {
        // Go escapes these so that JSON can stand in HTML.
        let text = serde_json::to_string(list)?;
        let text = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")]
            .iter()
            .fold(text, |text, (from, to)| text.replace(*from, to));
        writeln!(out, "{text}")?;
    } else {
        write!(out, "{}", pintle_goyaml::to_string(list)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_and_cut() {
        let mut out = Vec::new();
        write_table(&mut out, &[vec!["NAME", "TEXT"], vec!["a/web", "0123456789"]], 8).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME \tTEXT    \na/web\t01234...\n");
    }
}
