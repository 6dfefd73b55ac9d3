//! How a build's progress is shown.

use rbuild_progress::{Colors, Mode, RenderOptions, Renderer, Reporter, TerminalSize};

use crate::app::App;

/// The progress that was asked for, on stderr.
pub(super) fn progress(app: &App, mode: Mode) -> (Reporter, Renderer) {
    let terminal = app.environment.stderr_is_terminal().then(|| {
        let size = || {
            let (columns, rows) = rbuild_container::terminal_size(std::io::stderr())
                .map_or((80, 24), |size| (size.columns, size.rows));
            TerminalSize { columns, rows }
        };
        Box::new(size) as Box<dyn Fn() -> TerminalSize + Send>
    });
    let options = RenderOptions {
        mode,
        terminal,
        colors: if app.environment.colors_allowed() {
            Colors::Ansi
        } else {
            Colors::None
        },
        viewer: app.environment.log_viewer(),
        started_at: app.environment.now(),
        ..RenderOptions::default()
    };
    Renderer::start(options, Box::new(std::io::stderr()))
}
