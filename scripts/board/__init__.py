"""The scoreboard: what every line of the bars is measured on, how, and beside which plain methods."""
