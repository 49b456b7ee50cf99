//! Enums whose values are labels of metrics and fields of logs: declared once, with all their names.

/// A label value from a fixed list.
pub trait Label: Copy + 'static {
    /// All values.
    const ALL: &'static [Self];

    /// Its name in metrics and logs.
    fn label(self) -> &'static str;
}

/// Declares an enum of label values.
macro_rules! labels {
    (
        $(#[$about:meta])*
        $visibility:vis enum $name:ident {
            $( $(#[$variant_about:meta])* $variant:ident = $label:literal, )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $visibility enum $name {
            $( $(#[$variant_about])* $variant, )+
        }

        impl $crate::model::label::Label for $name {
            const ALL: &'static [Self] = &[$( Self::$variant, )+];

            fn label(self) -> &'static str {
                match self {
                    $( Self::$variant => $label, )+
                }
            }
        }
    };
}
pub(crate) use labels;
