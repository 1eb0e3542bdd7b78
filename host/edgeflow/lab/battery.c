// SPDX-License-Identifier: GPL-2.0-only
/*
 * lab_battery: the battery of a virtual phone or board, /sys/class/power_supply/battery.
 *
 * What it says is set while the device runs: /sys/module/lab_battery/parameters. Like a real fuel gauge, it takes
 * a new reading every period_ms, and its current is never quite still: each reading is off by up to ripple_ua.
 * A power supply that tells its temperature also makes a thermal zone of the same name (power_supply_core.c).
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/power_supply.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static const char *const status_names[] = {
	[POWER_SUPPLY_STATUS_UNKNOWN] = "Unknown",
	[POWER_SUPPLY_STATUS_CHARGING] = "Charging",
	[POWER_SUPPLY_STATUS_DISCHARGING] = "Discharging",
	[POWER_SUPPLY_STATUS_NOT_CHARGING] = "Not charging",
	[POWER_SUPPLY_STATUS_FULL] = "Full",
};

static int status = POWER_SUPPLY_STATUS_DISCHARGING;
static int capacity = 80;
static int voltage_uv = 4000000;
static int current_ua = -500000; /* negative while discharging, as most phones have it */
static int charge_uah = 3200000;
static int temp_dc = 300; /* tenths of a degree Celsius */
static int ripple_ua = 2000;
static uint period_ms = 250;

static struct power_supply *battery;
static DEFINE_SPINLOCK(reading_lock);
static unsigned long next_reading;
static int ripple_now;
static u32 ripple_state = 1;

static void tell_change(void)
{
	if (battery)
		power_supply_changed(battery);
}

static int set_number(const char *text, const struct kernel_param *param)
{
	int error = param_set_int(text, param);

	if (!error)
		tell_change();
	return error;
}

static int set_status(const char *text, const struct kernel_param *param)
{
	int found = sysfs_match_string(status_names, text);

	if (found < 0)
		return found;
	status = found;
	tell_change();
	return 0;
}

static int get_status(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", status_names[status]);
}

static const struct kernel_param_ops number_ops = { .set = set_number, .get = param_get_int };
static const struct kernel_param_ops status_ops = { .set = set_status, .get = get_status };

module_param_cb(status, &status_ops, NULL, 0644);
module_param_cb(capacity, &number_ops, &capacity, 0644);
module_param_cb(voltage_uv, &number_ops, &voltage_uv, 0644);
module_param_cb(current_ua, &number_ops, &current_ua, 0644);
module_param_cb(charge_uah, &number_ops, &charge_uah, 0644);
module_param_cb(temp_dc, &number_ops, &temp_dc, 0644);
module_param(ripple_ua, int, 0644);
module_param(period_ms, uint, 0644);

/* The current as the gauge has it now. The ripple is the same series after each start (Numerical Recipes' LCG). */
static int current_reading(void)
{
	int off;

	spin_lock(&reading_lock);
	if (time_after_eq(jiffies, next_reading)) {
		next_reading = jiffies + msecs_to_jiffies(period_ms);
		ripple_state = ripple_state * 1664525u + 1013904223u;
		ripple_now = ripple_ua > 0 ? (int)((ripple_state >> 8) % (2 * (u32)ripple_ua + 1)) - ripple_ua : 0;
	}
	off = ripple_now;
	spin_unlock(&reading_lock);
	return current_ua + off;
}

static int get_property(struct power_supply *supply, enum power_supply_property property,
			union power_supply_propval *value)
{
	switch (property) {
	case POWER_SUPPLY_PROP_STATUS:
		value->intval = status;
		return 0;
	case POWER_SUPPLY_PROP_PRESENT:
		value->intval = 1;
		return 0;
	case POWER_SUPPLY_PROP_TECHNOLOGY:
		value->intval = POWER_SUPPLY_TECHNOLOGY_LION;
		return 0;
	case POWER_SUPPLY_PROP_CAPACITY:
		value->intval = capacity;
		return 0;
	case POWER_SUPPLY_PROP_VOLTAGE_NOW:
		value->intval = voltage_uv;
		return 0;
	case POWER_SUPPLY_PROP_CURRENT_NOW:
		value->intval = current_reading();
		return 0;
	case POWER_SUPPLY_PROP_CHARGE_COUNTER:
		value->intval = charge_uah;
		return 0;
	case POWER_SUPPLY_PROP_TEMP:
		value->intval = temp_dc;
		return 0;
	default:
		return -EINVAL;
	}
}

static const enum power_supply_property properties[] = {
	POWER_SUPPLY_PROP_STATUS,	POWER_SUPPLY_PROP_PRESENT,	POWER_SUPPLY_PROP_TECHNOLOGY,
	POWER_SUPPLY_PROP_CAPACITY,	POWER_SUPPLY_PROP_VOLTAGE_NOW,	POWER_SUPPLY_PROP_CURRENT_NOW,
	POWER_SUPPLY_PROP_CHARGE_COUNTER, POWER_SUPPLY_PROP_TEMP,
};

static const struct power_supply_desc description = {
	.name = "battery",
	.type = POWER_SUPPLY_TYPE_BATTERY,
	.properties = properties,
	.num_properties = ARRAY_SIZE(properties),
	.get_property = get_property,
};

static int __init lab_battery_init(void)
{
	struct power_supply_config config = {};

	next_reading = jiffies;
	battery = power_supply_register(NULL, &description, &config);
	return PTR_ERR_OR_ZERO(battery);
}

static void __exit lab_battery_exit(void)
{
	power_supply_unregister(battery);
}

module_init(lab_battery_init);
module_exit(lab_battery_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A battery whose values are set from outside");
