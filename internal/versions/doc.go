// Package versions puts what is built from this tree together with what was
// built from earlier ones: plugins and routers are upgraded one at a time.
// Its tests are all there is to it; testdata holds the earlier builds' sources.
package versions
