//! What tables are shown on: how wide, and whether in colours.

use std::io::IsTerminal as _;

use anstream::{AutoStream, ColorChoice};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};

/// Below this many columns a table is not wrapped.
const NARROWEST: u16 = 40;

/// How wide it is, and whether it shows colours. The default is no terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) struct Screen {
    /// In columns; `None`: no terminal, or one that does not know.
    pub(in crate::cli) width: Option<u16>,
    pub(in crate::cli) colours: bool,
    /// Whether it can be cleared, to draw anew in place.
    pub(in crate::cli) redraws: bool,
}

/// How urgently a state wants to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    /// As it should be.
    Plain,
    /// Somebody's decision, or a passing state.
    Notice,
    /// Somebody has to act.
    Alarm,
}

impl Screen {
    /// Colours only on a terminal, and not under `NO_COLOR` or `TERM=dumb`;
    /// `CLICOLOR_FORCE` wants them everywhere.
    pub(in crate::cli) fn of_stdout() -> Self {
        Self {
            redraws: std::io::stdout().is_terminal() && anstyle_query::term_supports_ansi_color(),
            width: Table::new().width(),
            colours: AutoStream::choice(&std::io::stdout()) != ColorChoice::Never,
        }
    }

    pub(in crate::cli) fn table(self, headings: &[&str], right_aligned: impl IntoIterator<Item = usize>) -> Table {
        let mut table = Table::new();
        table
            .force_no_tty()
            .load_style(UTF8_FULL_CONDENSED)
            .set_header(headings);
        // A terminal that does not know its width, or one too narrow for any table, gets whole lines.
        match self.width {
            Some(width) if width >= NARROWEST => table
                .set_width(width)
                .set_content_arrangement(ContentArrangement::Dynamic),
            _ => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        if self.colours {
            table.enforce_styling();
        }
        for column in right_aligned {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }
}

impl Tone {
    /// A cell with these words, coloured where the table is.
    pub(in crate::cli) fn cell(self, words: &str) -> Cell {
        match self {
            Self::Plain => Cell::new(words),
            Self::Notice => Cell::new(words).fg(Color::Yellow),
            Self::Alarm => Cell::new(words).fg(Color::Red),
        }
    }
}
