"""`python -m horizon_st` is `horizon-st`."""

from horizon_st.cli import main

if __name__ == "__main__":
    main()
