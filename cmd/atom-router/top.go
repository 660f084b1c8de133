package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/gdamore/tcell/v2"
	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/internal/top"
)

func (a *app) topCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "top",
		Short: "Watch backends and atoms in the terminal",
		Long: `Show how the backends do and which atoms run, as things change, until q.

  ↑ ↓ k j     select an atom       Enter l   its logs, as they come; Esc back
  PgUp PgDn   a page of them       s         stop it, once you have said y
  /           filter by words      a         those that have ended, too
  Ctrl-L      draw anew            q         quit`,
		Example: `  atom-router top
  atom-router -c fleet.hcl top`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f, ok := a.stdout.(*os.File); !ok || !isTerminal(f) || !isTerminal(os.Stdin) {
				return usage(errors.New("top needs a terminal; list --watch and backends --watch do without"))
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			defer a.holdStderr()()
			return a.withFleet(ctx, func(r fleet) error {
				screen, err := tcell.NewScreen()
				if err != nil {
					return usage(fmt.Errorf("top cannot use this terminal (TERM=%q): %w", os.Getenv("TERM"), err))
				}
				err = top.Run(ctx, r, screen)
				if ctx.Err() != nil {
					return exit(codeInterrupt)
				}
				return err
			})
		},
	}
}

// held is what waits for a terminal to be free.
type held struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// mostHeld bounds it; what is more is dropped.
const mostHeld = 64 << 10

func (h *held) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.text.Len()+len(p) <= mostHeld {
		h.text.Write(p)
	}
	return len(p), nil
}

// holdStderr keeps the log and all else off a terminal that is being drawn on,
// until the function that it returns is called.
func (a *app) holdStderr() (free func()) {
	f, ok := a.stderr.(*os.File)
	if !ok || !isTerminal(f) {
		return func() {}
	}
	h := &held{}
	a.stderr = h
	return func() {
		a.stderr = f
		h.mu.Lock()
		defer h.mu.Unlock()
		// There is nowhere left to say that stderr cannot be written.
		_, _ = io.Copy(f, &h.text)
	}
}
