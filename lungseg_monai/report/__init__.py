"""One self-contained HTML file about a run: `page.write_report`."""
