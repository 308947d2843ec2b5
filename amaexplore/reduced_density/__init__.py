"""The reduced density of the slow variables: Smoluchowski (29), Fokker-Planck (56), and the same as stochastic dynamics."""
