"""The playground, a Streamlit app over a Lab: `front/` is its entry, `pages/` one file a page, `parts/` shared."""
