//! Bars, as SVG.

use std::fmt::Write as _;

/// Bars that are compared.
pub struct Group {
    pub title: &'static str,
    /// Name and value.
    pub bars: Vec<(String, f64)>,
}

const WIDTH: f64 = 760.0;
const LABELS: f64 = 220.0;
const BAR: f64 = 18.0;

/// All groups below one another, each with a scale of its own; values are written beside the bars.
pub fn draw(title: &str, groups: &[Group]) -> String {
    let mut y = 34.0;
    let mut body = String::new();
    let text = |body: &mut String, x: f64, y: f64, more: &str, words: &str| {
        // Writing into a string cannot fail.
        let _ = writeln!(body, "<text x=\"{x}\" y=\"{y}\" {more}>{words}</text>");
    };
    text(&mut body, 8.0, 20.0, "font-weight=\"bold\"", title);
    for group in groups {
        y += 18.0;
        text(&mut body, 8.0, y, "font-style=\"italic\"", group.title);
        y += 6.0;
        let most = group.bars.iter().map(|(_, value)| *value).fold(1.0, f64::max);
        for (name, value) in &group.bars {
            let length = (WIDTH - LABELS - 90.0) * value / most;
            let colour = if name.starts_with("Pillion") { "#2b7a4b" } else { "#9aa5b1" };
            let height = BAR - 4.0;
            let _ = writeln!(
                body,
                "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
            );
            text(&mut body, LABELS - 8.0, y + 11.0, "text-anchor=\"end\"", name);
            text(&mut body, LABELS + length + 6.0, y + 11.0, "", &format!("{value:.0}"));
            y += BAR;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n",
        height = y + 12.0
    )
}
