#include <pwd.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Says who it is and what time it is: the user's name and the time zone come from the base. */
int main(int argc, char **argv) {
    const struct passwd *user = getpwuid(getuid());
    const time_t now = time(NULL);
    char clock[32];
    strftime(clock, sizeof clock, "%H:%M %Z", localtime(&now));
    printf("Hello, %s! I am %s (%d), and it is %s.\n", argc > 1 ? argv[1] : "world",
           user ? user->pw_name : "somebody", (int)getuid(), clock);
    return 0;
}
