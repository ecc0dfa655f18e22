//! Log macros: `defmt` on firmware, `log` on a host, nothing by default.
#![allow(unused_macros, unused_imports, reason = "which macros are used depends on the features")]

macro_rules! log_at {
    ($level:ident, $format:literal $(, $argument:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        defmt::$level!($format $(, $argument)*);
        #[cfg(all(feature = "log", not(feature = "defmt")))]
        log::$level!($format $(, $argument)*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        { $( let _ = &$argument; )* }
    }};
}

macro_rules! debug { ($($all:tt)*) => { $crate::fmt::log_at!(debug, $($all)*) }; }
macro_rules! info { ($($all:tt)*) => { $crate::fmt::log_at!(info, $($all)*) }; }
macro_rules! warning { ($($all:tt)*) => { $crate::fmt::log_at!(warn, $($all)*) }; }

pub(crate) use {debug, info, log_at, warning};

/// Something of a type that only says how it is displayed, such as a platform's error, for either way of logging.
pub(crate) struct Said<'a, T>(pub(crate) &'a T);

impl<T: core::fmt::Display> core::fmt::Display for Said<'_, T> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(feature = "defmt")]
impl<T: core::fmt::Display> defmt::Format for Said<'_, T> {
    fn format(&self, out: defmt::Formatter<'_>) {
        defmt::Format::format(&defmt::Display2Format(self.0), out);
    }
}
