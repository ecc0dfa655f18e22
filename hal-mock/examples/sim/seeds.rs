//! Which seeds are run.

use std::fs;
use std::io;
use std::path::Path;

use super::Arguments;

/// Every run has these, as many as it has room for beside those of regressions and of the commit.
const FIXED: usize = 256;

/// The seeds of a run: those that found something before, then as many fixed ones as derived ones.
pub(super) fn choose(arguments: &Arguments) -> io::Result<Vec<u64>> {
    if let Some(seed) = arguments.seed {
        return Ok(vec![seed]);
    }
    if arguments.seeds == 0 {
        return Err(io::Error::other("no seed is no run"));
    }
    Ok(chosen(regressions(arguments.regressions())?, arguments.seeds, &arguments.commit))
}

/// Each once, so that no hour counts twice.
fn chosen(regressions: Vec<u64>, count: usize, commit: &str) -> Vec<u64> {
    let rest = count.saturating_sub(regressions.len());
    let fixed = rest.div_ceil(2).min(FIXED);
    let mut seeds = regressions;
    let more = (0..).filter(|seed| !seeds.contains(seed)).take(fixed).collect::<Vec<_>>();
    seeds.extend(more);
    seeds.extend((fixed..rest).map(|number| derived(commit, number as u64)));
    seeds
}

/// Files that are named after their seed: each says in a sentence what it has found.
fn regressions(directory: &Path) -> io::Result<Vec<u64>> {
    let mut seeds = Vec::new();
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let seed = name.parse();
        seeds.push(seed.map_err(|_| io::Error::other(format!("{} is not named after a seed", path.display())))?);
    }
    seeds.sort_unstable();
    Ok(seeds)
}

/// So that every commit explores, and whoever has the commit can find it again.
fn derived(commit: &str, number: u64) -> u64 {
    // FNV-1a.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let bytes = commit.bytes().chain(number.to_le_bytes());
    // Small enough to be typed.
    bytes.fold(0xcbf2_9ce4_8422_2325, mix) >> 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_seed_comes_twice() {
        let mut seeds = chosen(vec![2, 700], 600, "abc");
        assert_eq!(seeds.len(), 600);
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 600);
    }

    #[test]
    fn another_commit_has_other_seeds_and_the_same_one_the_same() {
        assert_eq!(derived("abc", 1), derived("abc", 1));
        assert_ne!(derived("abc", 1), derived("abd", 1));
        assert_ne!(derived("abc", 1), derived("abc", 2));
    }
}
