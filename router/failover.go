package router

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// errSpent is why a Create is not tried at another backend.
var errSpent = errors.New("too many Creates fail over")

// spent is the error of a Create that asked some backends and may ask no more.
func (c *creation) spent(walk *Walk) error {
	text := fmt.Errorf("%w at once for this one to be tried further (%s)", errSpent, strings.Join(walk.passed, "; "))
	return &reclassed{class: errdefs.ErrUnavailable, err: withText{text, c.last}}
}
