"""What a finished search leaves for people to look at: tables, a picture, a page and a console table."""

from search.report.overview import write_overview
from search.report.tables import console_table, front_table, results_table
from search.report.views import front_file
from search.report.writing import write_report

__all__ = ["console_table", "front_file", "front_table", "results_table", "write_overview", "write_report"]
