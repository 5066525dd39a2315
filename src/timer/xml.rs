//! Text inside XML, for launchd and the Task Scheduler.

/// Escapes what means something to an XML parser. Control characters, which
/// XML cannot hold at all, have been refused before (`TimerSpec::check`).
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
