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
