//! What a receiver has inherited (PS-12, PS-36).

use std::env;
use std::path::PathBuf;

use greenroom_core::message::presentation::LaunchToken;

/// The environment variable in which a receiver inherits its launch token, as 32 digits.
pub const LAUNCH_TOKEN_VARIABLE: &str = "GREENROOM_LAUNCH_TOKEN";

/// The environment variable in which a receiver inherits the path of a directory of its own, for what it keeps while it shows
/// its page: nobody else looks into it, and it goes when the receiver has ended.
pub const RECEIVER_DIRECTORY_VARIABLE: &str = "GREENROOM_RECEIVER_DIRECTORY";

#[cfg(any(test, feature = "presentation"))]
pub(crate) fn text_of(token: LaunchToken) -> String {
    token.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token with which this process was launched, if it was launched to show a page.
pub fn inherited_token() -> Option<LaunchToken> {
    token_in(&env::var(LAUNCH_TOKEN_VARIABLE).ok()?)
}

/// The directory that a receiver has for itself.
pub fn inherited_directory() -> Option<PathBuf> {
    env::var_os(RECEIVER_DIRECTORY_VARIABLE).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn token_in(text: &str) -> Option<LaunchToken> {
    let mut token = LaunchToken([0; 16]);
    if text.len() != 2 * token.0.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in token.0.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_inherited_as_text() {
        let token = LaunchToken([0xA7; 16]);
        assert_eq!(token_in(&text_of(token)), Some(token));
        for text in ["", "a7", &"g7".repeat(16), &"é".repeat(16), &"a7".repeat(17)] {
            assert_eq!(token_in(text), None, "{text}");
        }
    }
}
