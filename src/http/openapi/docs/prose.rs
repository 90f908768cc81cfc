//! The little of Markdown that our descriptions use: paragraphs, lists, tables, code.

use std::fmt;

/// Text for HTML, in content and in quoted attributes.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// A description.
pub(super) struct Prose<'a>(pub(super) &'a str);

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for block in self.0.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
            match block.chars().next() {
                Some('|') => table(block, f)?,
                Some('-') => list(block, f)?,
                Some(_) | None => write!(f, "<p>{}</p>", Line(block))?,
            }
        }
        Ok(())
    }
}

fn list(block: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("<ul>")?;
    for item in block.lines() {
        write!(f, "<li>{}", Line(item.trim_start_matches("- ")))?;
    }
    f.write_str("</ul>")
}

fn table(block: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("<table>")?;
    // The second line only says that the first is a head.
    let rows = block.lines().enumerate().filter(|(index, _)| *index != 1);
    for (index, row) in rows {
        let cell = if index == 0 { "th" } else { "td" };
        f.write_str("<tr>")?;
        for text in row.trim_matches('|').split('|') {
            write!(f, "<{cell}>{}", Line(text.trim()))?;
        }
    }
    f.write_str("</table>")
}

/// Text with `code` in it.
struct Line<'a>(&'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.split('`').enumerate() {
            match index % 2 {
                0 => write!(f, "{}", Escaped(part))?,
                _ => write!(f, "<code>{}</code>", Escaped(part))?,
            }
        }
        Ok(())
    }
}
