//! Counters that say of themselves what they count, so that nothing is dropped without a line in the log.

/// A struct of counters. Each is of a kind: `traffic`, or `dropped` for what was lost, dropped or refused.
macro_rules! counters {
    (@is traffic) => { false };
    (@is dropped) => { true };
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, more: Self) {
                $(self.$field += more.$field;)*
            }
        }

        impl $name {
            /// Every counter under the name users know it by.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }

            /// Those of what was lost, dropped or refused.
            pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                let kinds = [$($crate::counters::counters!(@is $kind),)*];
                self.entries().zip(kinds).filter_map(|(entry, is_dropped)| is_dropped.then_some(entry))
            }
        }
    };
}

pub(crate) use counters;
