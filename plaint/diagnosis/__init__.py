"""What is wrong with a running plaint or with the place where it is to run, each finding with its mend."""
