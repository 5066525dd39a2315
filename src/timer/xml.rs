//! XML escaping, for launchd and the Task Scheduler.

/// Escapes the special characters of XML. Control characters, which XML cannot
/// contain, have been refused before (`TimerSpec::check`).
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
