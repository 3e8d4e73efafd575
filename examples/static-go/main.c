#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* What main.go does, for machines without Go. */
int main(void) {
    const time_t now = time(NULL);
    char clock[32];
    setenv("TZ", "Asia/Tokyo", 1);
    tzset();
    strftime(clock, sizeof clock, "%H:%M %Z", localtime(&now));
    printf("A static program, run by user %d, at %s\n", (int)getuid(), clock);
    return 0;
}
