  config {
    limits = [{ name = "x", n = 1, m = 2 }]
  }
