  config {
    hots = "x"
    namespace = "ml"
  }
