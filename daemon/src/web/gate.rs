//! Who is let in: by the address that was asked for, by where a page comes from, and by what it knows.

use std::net::IpAddr;

use greenroom_core::message::presentation::LaunchToken;
use subtle::ConstantTimeEq;

/// What a page may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It starts presentations and has its own; somebody else chooses the device.
    Page,
    /// It was served from here to a person who may see devices and everything that is on, and end it.
    Person,
    /// It was launched for a presentation, and is its receiver (PS-12).
    Receiver,
}

/// Why a page is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// Caller: pages of that origin may not.
    #[error("pages of this origin may not use this; name it in [presentation.web] origins")]
    Origin,
    /// Caller: it does not know the token.
    #[error("the token is missing or wrong; open the address that 'greenroom-web --link' prints")]
    Token,
    /// Caller: only a page that was launched for a presentation can be its receiver, from the origin that was asked for.
    #[error("this page was not launched for a presentation")]
    NotLaunched,
}

/// What is compared.
#[derive(Clone)]
pub(super) struct Gate {
    /// Names of this server, in lower case, besides `localhost` and addresses.
    pub(super) hosts: Vec<String>,
    /// Origins whose pages may use it, in lower case.
    pub(super) origins: Vec<String>,
    /// What a person's page knows.
    pub(super) token: String,
    /// What other pages know; empty for nothing.
    pub(super) page_token: String,
}

/// What a page shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    /// The `Host` of its request, which [`Gate::knows_host`].
    pub(super) host: &'a str,
    /// Its `Origin`.
    pub(super) origin: &'a str,
    /// The token that it gives; empty for none.
    pub(super) token: &'a str,
    /// Whether it gives a launch token, which the presentation service will look at.
    pub(super) is_launched: bool,
}

impl Gate {
    /// Whether this is a name of ours. A page of another site whose name leads here has that site's name (DNS rebinding);
    /// an address belongs to no site.
    pub(super) fn knows_host(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || bare.parse::<IpAddr>().is_ok() || self.hosts.contains(&name)
    }

    /// What the page may do. A page that says nothing of a launch is never a receiver, and one that does is nothing else.
    pub(super) fn role(&self, shown: &Shown<'_>) -> Result<Role, Stopped> {
        let origin = shown.origin.to_ascii_lowercase();
        if !is_web_origin(&origin) {
            return Err(Stopped::Origin);
        }
        if shown.is_launched {
            return Ok(Role::Receiver);
        }
        if origin == format!("http://{}", shown.host.to_ascii_lowercase()) {
            return if same(shown.token, &self.token) { Ok(Role::Person) } else { Err(Stopped::Token) };
        }
        if !self.origins.contains(&origin) {
            return Err(Stopped::Origin);
        }
        let is_known = self.page_token.is_empty() || same(shown.token, &self.page_token);
        if is_known { Ok(Role::Page) } else { Err(Stopped::Token) }
    }
}

/// Takes as long whichever character differs.
fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

/// `null`, files and extensions have none.
fn is_web_origin(origin: &str) -> bool {
    origin.starts_with("http://") || origin.starts_with("https://")
}

/// The origin of a URL: what stands before its path.
pub(super) fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#', '\\']).next()?.rsplit('@').next()?;
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let usual = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    Some(format!("{scheme}://{}", host.strip_suffix(usual).unwrap_or(&host)))
}

/// A launch token as it travels: 32 digits.
pub(super) fn launch_token(text: &str) -> Option<LaunchToken> {
    let number = Some(text).filter(|text| text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u128::from_str_radix(number, 16).ok().map(|number| LaunchToken(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a person's token!";

    fn gate() -> Gate {
        Gate {
            hosts: vec!["box.local".into()],
            origins: vec!["https://tv.example".into()],
            token: TOKEN.into(),
            page_token: String::new(),
        }
    }

    fn role(gate: &Gate, origin: &str, token: &str) -> Result<Role, Stopped> {
        gate.role(&Shown { host: "127.0.0.1:8010", origin, token, is_launched: false })
    }

    /// PS-36: a site whose name leads here is not served.
    #[test]
    fn only_its_own_names_and_addresses_are_known() {
        let gate = gate();
        for host in
            ["localhost", "LOCALHOST:8010", "127.0.0.1:8010", "192.168.1.5", "[::1]:8010", "[::1]", "Box.local:80"]
        {
            assert!(gate.knows_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example:8010",
            "box.local.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            ":8010",
        ] {
            assert!(!gate.knows_host(host), "{host}");
        }
    }

    /// PS-36
    #[test]
    fn a_page_is_let_in_by_its_origin_and_a_person_by_the_token() {
        let mut gate = gate();
        assert_eq!(role(&gate, "https://tv.example", ""), Ok(Role::Page));
        assert_eq!(role(&gate, "http://127.0.0.1:8010", TOKEN), Ok(Role::Person));
        for token in ["", "a person's token?", "a person's token!!"] {
            assert_eq!(role(&gate, "http://127.0.0.1:8010", token), Err(Stopped::Token), "{token}");
        }
        gate.page_token = "a token of pages".into();
        assert_eq!(role(&gate, "https://tv.example", "a token of pages"), Ok(Role::Page));
        for token in ["", TOKEN] {
            assert_eq!(role(&gate, "https://tv.example", token), Err(Stopped::Token), "{token}");
        }
    }

    /// PS-36
    #[test]
    fn pages_from_elsewhere_are_stopped_whatever_they_know() {
        for origin in [
            "",
            "null",
            "http://tv.example",
            "https://tv.example.evil.example",
            "file://",
            "http://127.0.0.1:8011",
            "http://localhost:8010",
        ] {
            assert_eq!(role(&gate(), origin, TOKEN), Err(Stopped::Origin), "{origin}");
        }
    }

    /// PS-12: the service looks at the token, the bridge at the origin.
    #[test]
    fn a_page_that_says_it_was_launched_is_a_receiver_or_nothing() {
        let shown = Shown { host: "127.0.0.1:8010", origin: "http://127.0.0.1:8010", token: TOKEN, is_launched: true };
        assert_eq!(gate().role(&shown), Ok(Role::Receiver));
        assert_eq!(gate().role(&Shown { origin: "null", ..shown }), Err(Stopped::Origin));
    }

    #[test]
    fn the_origin_of_a_url_is_what_stands_before_its_path() {
        for (url, origin) in [
            ("https://TV.example/film?x#y", "https://tv.example"),
            ("https://tv.example:443", "https://tv.example"),
            ("http://a:8010/x", "http://a:8010"),
            ("https://tv.example@evil.example/", "https://evil.example"),
            ("https://tv.example?x", "https://tv.example"),
        ] {
            assert_eq!(origin_of(url).as_deref(), Some(origin), "{url}");
        }
        for url in ["app:tv", "file:///x", "nothing"] {
            assert_eq!(origin_of(url), None, "{url}");
        }
    }

    #[test]
    fn a_launch_token_has_32_digits() {
        assert_eq!(launch_token(&"a7".repeat(16)), Some(LaunchToken([0xA7; 16])));
        for text in ["", "a7", &"g7".repeat(16), &"a7".repeat(17), &format!("+{}", "a".repeat(31))] {
            assert_eq!(launch_token(text), None, "{text}");
        }
    }
}
