"""Reports of a finished search: tables, a picture, an HTML page and a table for the terminal."""

from search.report.baseline import Baseline
from search.report.overview import write_overview
from search.report.tables import console_table, front_table, results_table
from search.report.views import front_file
from search.report.writing import write_report

__all__ = ["Baseline", "console_table", "front_file", "front_table", "results_table", "write_overview", "write_report"]
