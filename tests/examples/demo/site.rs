//! Where the film comes from in the third act: this program again, in another network, serves one file by HTTP.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use axum::Router;
use axum::http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use greenroom_tests::programs;
use rustix::process::Signal;

use crate::Failure;

/// What makes this program a site: `demo --site ADDRESS FILE`.
pub(crate) const FLAG: &str = "--site";

/// A process that serves. Dropping it kills it.
pub(crate) struct Site(Child);

impl Site {
    /// Starts it in the place where these words run a program.
    pub(crate) fn start(address: SocketAddr, film: &Path, within: &[String]) -> Result<Self, Failure> {
        let mut command: Command = programs::command(within, &std::env::current_exe()?);
        command.arg(FLAG).arg(address.to_string()).arg(film).stdin(Stdio::null());
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // One that could not serve has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves until it is killed, or the story has ended.
pub(crate) fn serve(address: &Path, film: &Path) -> ExitCode {
    match try_serve(&address.to_string_lossy(), film) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("demo: the film cannot be served: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn try_serve(address: &str, film: &Path) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let film: &'static [u8] = Vec::leak(std::fs::read(film)?);
    let routes = Router::new().route("/film", get(async move |headers: HeaderMap| give(film, &headers)));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        Ok(axum::serve(listener, routes).await?)
    })
}

/// All of it, or the part that is asked for: browsers play again from the start by asking for it.
fn give(film: &'static [u8], headers: &HeaderMap) -> Response {
    let kind = [(CONTENT_TYPE, "video/mp4"), (ACCEPT_RANGES, "bytes")];
    let asked = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let Some(range) = asked.and_then(|range| range_of(range, film.len())) else {
        return (kind, film).into_response();
    };
    let content_range = format!("bytes {}-{}/{}", range.start(), range.end(), film.len());
    (StatusCode::PARTIAL_CONTENT, kind, [(CONTENT_RANGE, content_range)], &film[range]).into_response()
}

/// Of a text like `bytes=100-` or `bytes=100-199`.
fn range_of(text: &str, length: usize) -> Option<RangeInclusive<usize>> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    let start = start.parse().ok()?;
    let last = length.checked_sub(1)?;
    let end = if end.is_empty() { last } else { end.parse::<usize>().ok()?.min(last) };
    (start <= end).then_some(start..=end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_film_lies_within_it() {
        assert_eq!(range_of("bytes=0-", 10), Some(0..=9));
        assert_eq!(range_of("bytes=3-5", 10), Some(3..=5));
        assert_eq!(range_of("bytes=3-99", 10), Some(3..=9));
        for text in ["", "bytes=", "bytes=10-", "bytes=-5", "bytes=5-3", "lines=1-2"] {
            assert_eq!(range_of(text, 10), None, "{text}");
        }
        assert_eq!(range_of("bytes=0-", 0), None);
    }
}
