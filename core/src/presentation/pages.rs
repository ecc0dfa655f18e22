//! Which pages a pattern of the launch policy means (PS-11).

/// Whether a pattern is one: a whole URL, or the beginning of one, closed by a mark behind which nothing can change whose
/// page it is, and `*`: `https://tv.example/*`, `https://*`, `app:*`.
///
/// `https://tv.example*` is none: it would mean the pages of `tv.example.org`, too.
pub fn is_pattern(text: &str) -> bool {
    match text.strip_suffix('*') {
        Some(start) => (start.ends_with('/') || start.ends_with(':')) && !start.contains('*') && is_closed(start),
        None => !text.is_empty() && !text.contains('*'),
    }
}

/// What stands before the host's end would let through whoever puts it there.
fn is_closed(start: &str) -> bool {
    match start.split_once(':') {
        Some((_, "")) => !start.eq_ignore_ascii_case("http:") && !start.eq_ignore_ascii_case("https:"),
        Some((_, rest)) => !rest.ends_with(':'),
        None => false,
    }
}

/// Whether a pattern means this page. A text that is no pattern means none.
pub fn means(pattern: &str, url: &str) -> bool {
    if !is_pattern(pattern) || url.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\') {
        return false;
    }
    match pattern.strip_suffix('*') {
        Some(start) => url.starts_with(start),
        None => url == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PS-11
    ///
    /// Presentation defect 11
    #[test]
    fn a_pattern_means_the_pages_of_one_host_or_of_one_scheme() {
        for (pattern, url) in [
            ("https://tv.example/*", "https://tv.example/"),
            ("https://tv.example/*", "https://tv.example/a?b#c"),
            ("https://*", "https://anything.example/"),
            ("app:*", "app:tv.one"),
            ("https://tv.example/one", "https://tv.example/one"),
        ] {
            assert!(means(pattern, url), "{pattern} {url}");
        }
        for (pattern, url) in [
            ("https://tv.example/*", "https://tv.example.evil.example/"),
            ("https://tv.example/*", "https://tv.example@evil.example/"),
            ("https://tv.example/*", "http://tv.example/"),
            ("https://tv.example/one", "https://tv.example/one/two"),
            ("https://tv.example/*", "https://tv.example/\n"),
            ("https://*", "https://tv.example\\@evil.example/"),
            ("app:*", "javascript:app:"),
        ] {
            assert!(!means(pattern, url), "{pattern} {url}");
        }
    }

    #[test]
    fn what_would_mean_more_than_it_seems_to_is_no_pattern() {
        for text in ["", "*", "https://tv.example*", "https://*.example/*", "https:*", "https://tv.example:*", "tv/*"] {
            assert!(!is_pattern(text), "{text}");
            assert!(!means(text, "https://tv.example/"), "{text}");
        }
    }
}
