//! Pieces that several parts of the page are made of.

use super::Section;
pub(super) use crate::report::escape::escaped as esc;

pub(super) fn section(part: &Section) -> String {
    let Section {
        id, title, body, ..
    } = part;
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-h\">\n<h2 id=\"{id}-h\">{title}</h2>\n{body}</section>\n"
    )
}

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Text,
    Number,
}

/// A table whose head repeats in print and which scrolls in its own place. Cells are HTML; the first of a row heads it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) head: Vec<(&'static str, Column)>,
    pub(super) rows: Vec<Row>,
    /// Whether a reader may want to search it.
    pub(super) filter: bool,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) class: &'static str,
    pub(super) cells: Vec<String>,
}

impl Table {
    pub(super) fn html(&self) -> String {
        let class = |column| match column {
            Column::Text => "",
            Column::Number => " class=\"n\"",
        };
        let head: Vec<String> = self
            .head
            .iter()
            .map(|(name, column)| format!("<th scope=\"col\"{}>{name}</th>", class(*column)))
            .collect();
        let rows: Vec<String> = self.rows.iter().map(|row| self.row(row, class)).collect();
        let caption = esc(&self.caption);
        let filter = if self.filter { " data-filter" } else { "" };
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"{filter}><table><caption><span>{caption}</span></caption>\
             <thead><tr>{}</tr></thead><tbody>\n{}</tbody></table></div>\n",
            head.join(""),
            rows.join("")
        )
    }

    fn row(&self, row: &Row, class: impl Fn(Column) -> &'static str) -> String {
        let cells = row.cells.iter().zip(&self.head).enumerate();
        let cells: Vec<String> = cells
            .map(|(index, (cell, (_, column)))| {
                if index == 0 {
                    format!("<th scope=\"row\"{}>{cell}</th>", class(*column))
                } else {
                    format!("<td{}>{cell}</td>", class(*column))
                }
            })
            .collect();
        let name = if row.class.is_empty() {
            String::new()
        } else {
            format!(" class=\"{}\"", row.class)
        };
        format!("<tr{name}>{}</tr>\n", cells.join(""))
    }
}

/// A command to copy.
pub(super) fn replay(label: &str, line: &str) -> String {
    if line.is_empty() {
        return String::new();
    }
    format!(
        "<div class=\"replay\"><span>{label}</span><pre tabindex=\"0\"><code>{}</code></pre></div>\n",
        esc(line)
    )
}

/// Something long that is folded away.
pub(super) fn folded(title: &str, body: &str) -> String {
    format!("<details><summary>{title}</summary>\n{body}</details>\n")
}

pub(super) fn code_block(label: &str, text: &str) -> String {
    format!(
        "<pre class=\"code\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><code>{}</code></pre>\n",
        esc(label),
        esc(text)
    )
}

/// A mark that says good or bad, by colour and word.
pub(super) fn badge(class: &str, words: &str) -> String {
    format!("<span class=\"badge {class}\">{words}</span>")
}

/// A timeline as it was drawn; only what is plainly a picture gets into the page as one.
pub(super) fn figure(timeline: &str, caption: &str) -> String {
    let timeline = timeline.trim();
    let lower = timeline.to_ascii_lowercase();
    let picture = lower.starts_with("<svg ") && lower.ends_with("</svg>");
    let active = [
        "<script",
        "<foreignobject",
        "<iframe",
        "<image",
        "<use",
        "href",
        " on",
        "url(",
    ]
    .iter()
    .any(|part| lower.contains(part) && has_markup(&lower, part));
    if !picture || active {
        return String::new();
    }
    // The namespace is implied here, and the page then names no address at all.
    let inline = timeline.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
    format!(
        "<figure class=\"timeline\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Timeline\">{inline}</div>\
         <figcaption>{caption}</figcaption></figure>\n"
    )
}

/// Whether `part` is inside a tag, outside quotes: words in text and in attributes are only words.
fn has_markup(svg: &str, part: &str) -> bool {
    let (mut tag, mut quoted) = (false, false);
    for (at, character) in svg.char_indices() {
        match character {
            '<' if !quoted => tag = true,
            '>' if !quoted => tag = false,
            '"' if tag => quoted = !quoted,
            _ => {}
        }
        let outside = tag && !quoted;
        if outside && svg.get(at..).is_some_and(|rest| rest.starts_with(part)) {
            return true;
        }
    }
    false
}
