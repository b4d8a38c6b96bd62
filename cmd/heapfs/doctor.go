package main

import (
	"encoding/json"

	"github.com/heapfs/heapfs/doctor"
	"github.com/spf13/cobra"
)

func newDoctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [--json]",
		Short: "Try each thing that heapfs needs and say what works here",
		Long: `doctor tries each thing that heapfs needs, as the user who calls it: it mounts,
installs a listener, attaches, seals. It changes nothing on the machine.

A line is "ok", "no" (missing, and heapfs run needs it) or "--" (missing, and
heapfs run does without it). Then it says how to get what is missing. The last line is
"run: works" or "run: does not work: " with the first missing thing.

Exit status: 0 when heapfs run would work, else 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := doctor.Check(cmd.Context())
			if err := writeDoctor(cmd, report, asJSON); err != nil {
				return err
			}
			if !report.Run {
				return &exitError{code: 1} // the report has said why
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	return cmd
}

func writeDoctor(cmd *cobra.Command, report doctor.Report, asJSON bool) error {
	if !asJSON {
		return report.WriteText(cmd.OutOrStdout())
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(report)
}
