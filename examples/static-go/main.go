// Prints who it is, and the time in a zone from the image's base.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("A static program, run by user %d, at %s\n",
		os.Getuid(), time.Now().In(tokyo).Format("15:04 MST"))
}
