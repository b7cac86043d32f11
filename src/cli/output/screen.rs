//! The terminal on stdout: its width, and whether it shows colours.

use std::io::IsTerminal as _;

use anstream::{AutoStream, ColorChoice};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};

/// Below this many columns a table is not wrapped.
const MIN_WRAPPED_WIDTH: u16 = 40;

/// What stdout supports. The default is no terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) struct Screen {
    /// In columns; `None`: no terminal, or of unknown width.
    pub(in crate::cli) width: Option<u16>,
    pub(in crate::cli) colours: bool,
    /// Whether it can be cleared and redrawn in place.
    pub(in crate::cli) redraws: bool,
}

/// How urgent a state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    /// Normal.
    Plain,
    /// Set by an operator, or transient.
    Notice,
    /// Needs an operator.
    Alarm,
}

impl Screen {
    /// Colours only on a terminal, and not with `NO_COLOR` or `TERM=dumb`;
    /// everywhere with `CLICOLOR_FORCE`.
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
        // Without a width, or on a terminal too narrow for any table, lines are not wrapped.
        match self.width {
            Some(width) if width >= MIN_WRAPPED_WIDTH => table
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
    /// A cell with this text, coloured where the table is.
    pub(in crate::cli) fn cell(self, text: &str) -> Cell {
        match self {
            Self::Plain => Cell::new(text),
            Self::Notice => Cell::new(text).fg(Color::Yellow),
            Self::Alarm => Cell::new(text).fg(Color::Red),
        }
    }
}
