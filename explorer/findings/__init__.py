"""Findings: what people saw in a bundle's neurons and pictures, saved, annotated and shared.

model      what a finding is; checked where it is made
copy       its own small copy of a picture that is not the bundle's
store      where findings live: SQLite by default, PostgreSQL by URL; migrations, tables
notes      Markdown to safe HTML
snapshot   what an export shows of a finding; html_file, poster and neuron_table draw it
archive    JSON and pictures in a zip, written and read back with every doubt resolved
report     the most polysemantic neurons of a bundle as a ready collection
"""
