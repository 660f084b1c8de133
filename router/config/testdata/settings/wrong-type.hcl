  config {
    host  = ["a"]
    qps   = "fast"
    debug = "perhaps"
    hosts = "a"
    labels = ["a"]
  }
