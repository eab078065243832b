"""The app's parts: set-up, cached loaders, drawing. With pages/ the only code on Streamlit.

address, glossary, selection, grouping, highlights, parts and charts are pure; loaders, frame and
the drawing of whole sections call Streamlit.
"""
