//! Inputs as they are kept in the repository: a line of hexadecimal digits each, and `#` before a name.

use std::fmt::Write;

/// The inputs of a file.
///
/// # Errors
///
/// When a line is neither digits nor begins with `#`; it is given back.
pub fn read(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| from_digits(line).ok_or_else(|| line.to_owned())).collect()
}

fn from_digits(line: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = line.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// A file of these inputs, each with its name if it has one.
pub fn write<'a>(inputs: impl IntoIterator<Item = (Option<&'a str>, &'a [u8])>) -> String {
    let mut text = String::new();
    for (name, input) in inputs.into_iter().filter(|(_, input)| !input.is_empty()) {
        if let Some(name) = name {
            text += &format!("# {name}\n");
        }
        for byte in input {
            // A string takes everything.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back_and_names_are_not() {
        let text = write([(Some("one"), &[0, 255, 16][..]), (None, &[7])]);
        assert_eq!(text, "# one\n00ff10\n07\n");
        assert_eq!(read(&text), Ok(vec![vec![0, 255, 16], vec![7]]));
    }

    #[test]
    fn what_is_no_byte_is_refused_with_its_line() {
        assert_eq!(read("00\n0\n"), Err("0".to_owned()));
        assert_eq!(read("zz"), Err("zz".to_owned()));
    }
}
