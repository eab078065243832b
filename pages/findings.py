"""Findings: what people saved, filtered and sorted as the address says."""

from explorer.ui import findings_list, frame
from explorer.ui.findings_query import read_findings

page = frame.begin("findings")
query, problems = read_findings(page.params)
frame.show_problems(page.problems + problems)
findings_list.body(page, query)
